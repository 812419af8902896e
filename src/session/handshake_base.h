// What all four handshakes share: an input buffer, an output buffer, a deadline, events.
// Private to session/.
#pragma once

#include "base/limits.h"
#include "session/handshake.h"

#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace culvert::session {

inline constexpr std::string_view kBadProof = "Invalid authentication proof";

class HandshakeBase : public Handshake {
 public:
  explicit HandshakeBase(Instant now) : deadline_(now + limits::kHandshakeTimeout) {}

  void handle_data(Instant now, ByteView bytes) final;
  void handle_fin(Instant now) final;
  void handle_timeout(Instant now) final;
  [[nodiscard]] Instant next_timeout() const final { return deadline_; }
  [[nodiscard]] Bytes take_output() final { return std::exchange(output_, {}); }
  [[nodiscard]] bool is_output_finished() const final { return is_output_finished_; }
  [[nodiscard]] std::optional<HandshakeEvent> poll_event() final;
  void leave(std::string_view) override {}
  void promote(const ResumeKey&) override {}
  void announce_gone(std::span<const std::uint64_t>) override {}
  void announce_done(std::uint64_t) override {}

 protected:
  // Decodes and handles the first message of `input`; returns the bytes it took,
  // `truncated` to wait for more.
  virtual Decoded<std::size_t> handle_message(ByteView input) = 0;
  // The stream ended before is_decided(); what that means to a user.
  virtual Error ended_early() const = 0;
  virtual Error timed_out() const = 0;

  // The outcome is known: no deadline any more.
  void succeed(Authenticated event);
  void succeed(Resumed event);
  void succeed(Joined event);
  void refuse(Refused event);
  void break_off(CloseCode code, Error error);
  // Server: what the limits on failures make of a proof.
  // Whether there is a place for whom it is; only asked after a good proof.
  [[nodiscard]] Admittance admit(const ServerHandshakeConfig& config,
                                 const AuthIdentity& identity) const {
    return config.admits ? config.admits(now_, identity) : Admittance::admitted;
  }
  [[nodiscard]] AuthVerdict judge(const ServerHandshakeConfig& config, AuthAttempt attempt) const;
  void emit(HandshakeEvent event) { events_.push_back(std::move(event)); }
  [[nodiscard]] Bytes& output() { return output_; }
  void finish_output() { is_output_finished_ = true; }
  [[nodiscard]] bool is_decided() const { return is_decided_; }

 private:
  void decide(HandshakeEvent event);

  Bytes input_;
  Bytes output_;
  std::deque<HandshakeEvent> events_;
  Instant deadline_;
  Instant now_{};
  bool is_decided_ = false;
  bool is_broken_ = false;  // refused or failed: whatever else comes is ignored
  bool is_output_finished_ = false;
};

}  // namespace culvert::session
