// Carries a session::Handshake on the first stream of a connection, until its verdict.
#pragma once

#include "peer/stream_user.h"
#include "ports/timer_heap.h"
#include "session/handshake.h"

#include <memory>

namespace culvert::peer {

class LoginHandler {
 public:
  // Once. A good one comes while the stream is there, for hand_over().
  virtual void on_verdict(Instant now, session::Verdict& verdict) = 0;

 protected:
  ~LoginHandler() = default;
};

// Owned by whoever has the connection meanwhile.
class LoginStream final : public StreamUser {
 public:
  LoginStream(TimerHeap& timers, quic::Stream& stream,
              std::unique_ptr<session::Handshake> handshake, LoginHandler& handler);
  ~LoginStream() override;

  void start(Instant now) { pump(now); }
  // The stream, for what is said on it after the verdict; what has come of that is in its input.
  [[nodiscard]] quic::Stream& hand_over();
  // No more calls in either direction: it is over, perhaps inside a call of ours.
  void release();

  void on_quic_readable(Instant now) override;
  void on_quic_writable(Instant) override {}
  void on_quic_reset(Instant now, std::uint64_t code) override;
  void on_quic_stop_sending(Instant, std::uint64_t) override {}
  void on_quic_closed(Instant) override { stream_ = nullptr; }
  [[nodiscard]] bool is_flow() const override { return false; }

 private:
  void on_timer(Instant now);
  void pump(Instant now);

  quic::Stream* stream_;  // null once it is closed or handed over
  std::unique_ptr<session::Handshake> handshake_;
  LoginHandler& handler_;
  bool is_released_ = false;
  MemberTimer<LoginStream, &LoginStream::on_timer> timer_;
};

// The value that binds proofs to this connection.
[[nodiscard]] Result<session::ExporterValue> export_auth_value(const quic::Connection& connection);
// The value that proves the right to resume the session that runs on it.
[[nodiscard]] session::ResumeKey export_resume_key(const quic::Connection& connection);

}  // namespace culvert::peer
