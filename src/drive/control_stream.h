// Carries a session::Handshake on the control stream of a connection.
#pragma once

#include "drive/stream_user.h"
#include "drive/worker.h"
#include "session/handshake.h"

#include <memory>
#include <span>

namespace culvert::drive {

class ControlHandler {
 public:
  virtual void on_handshake_event(Instant now, session::HandshakeEvent& event) = 0;

 protected:
  ~ControlHandler() = default;
};

// What the peer does not take waits here; more than limits::kControlOutboxBytes of it ends the
// connection (session::Failed). Owned by its session.
class ControlStream final : public StreamUser {
 public:
  ControlStream(TimerHeap& timers, quic::Connection& connection, quic::Stream& stream,
                std::unique_ptr<session::Handshake> handshake, ControlHandler& handler);
  ~ControlStream() override;

  void start(Instant now) { pump(now); }
  void leave(Instant now, std::string_view reason);
  void promote(Instant now, const session::ResumeKey& key);
  void announce_gone(Instant now, std::span<const std::uint64_t> ids);
  void announce_done(Instant now, std::uint64_t count);
  // Another session has taken over the connection.
  void set_handler(ControlHandler& handler) { handler_ = &handler; }
  // No more calls in either direction: the session has ended, perhaps inside a call of ours.
  void release();

  void on_quic_readable(Instant now) override;
  void on_quic_writable(Instant now) override;
  void on_quic_reset(Instant now, std::uint64_t code) override;
  void on_quic_stop_sending(Instant, std::uint64_t) override {}
  void on_quic_closed(Instant) override { stream_ = nullptr; }
  [[nodiscard]] bool is_flow() const override { return false; }

 private:
  void on_timer(Instant now);
  void pump(Instant now);
  void send(ByteView output);

  quic::Connection& connection_;
  quic::Stream* stream_;  // null once it is closed
  std::unique_ptr<session::Handshake> handshake_;
  ControlHandler* handler_;
  Bytes outbox_;  // for which the stream had no room
  bool has_overflowed_ = false;
  bool is_released_ = false;
  MemberTimer<ControlStream, &ControlStream::on_timer> timer_;
};

// The value that binds proofs to this connection.
[[nodiscard]] Result<session::ExporterValue> export_auth_value(const quic::Connection& connection);
// The value that proves the right to resume the session that runs on it.
[[nodiscard]] session::ResumeKey export_resume_key(const quic::Connection& connection);

}  // namespace culvert::drive
