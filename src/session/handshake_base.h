// What all four handshakes share: an input buffer, an output buffer, a deadline, a verdict.
// Private to session/.
#pragma once

#include "base/limits.h"
#include "session/handshake.h"

#include <optional>
#include <string_view>
#include <utility>

namespace culvert::session {

inline constexpr std::string_view kBadProof = "Invalid authentication proof";

class HandshakeBase : public Handshake {
 public:
  explicit HandshakeBase(Instant now) : deadline_(now + limits::kHandshakeTimeout) {}

  std::size_t handle_data(Instant now, ByteView bytes) final;
  void handle_fin(Instant now) final;
  void handle_timeout(Instant now) final;
  [[nodiscard]] Instant next_timeout() const final { return deadline_; }
  [[nodiscard]] Bytes take_output() final { return std::exchange(output_, {}); }
  [[nodiscard]] bool is_output_finished() const final { return is_output_finished_; }
  [[nodiscard]] std::optional<Verdict> poll_verdict() final {
    return std::exchange(verdict_, std::nullopt);
  }

 protected:
  // Decodes and handles the first message of `input`; returns the bytes it took,
  // `truncated` to wait for more.
  virtual Decoded<std::size_t> handle_message(ByteView input) = 0;
  // The stream ended before the verdict; what that means to a user.
  virtual Error ended_early() const = 0;
  virtual Error timed_out() const = 0;

  // The verdict: no deadline any more, and nothing more is read.
  void decide(Verdict verdict);
  void break_off(CloseCode code, Error error) { decide(Failed{code, std::move(error)}); }
  // Server: why a client is not let in whose proof was `attempt`, and whom it proves; none: it is.
  // `bad_proof`: the words for a proof that proves nothing.
  [[nodiscard]] std::optional<Refused> refusal_of(const ServerHandshakeConfig& config,
                                                  const AuthAttempt& attempt,
                                                  const std::optional<AuthIdentity>& identity,
                                                  std::string_view bad_proof) const;
  [[nodiscard]] Bytes& output() { return output_; }
  void finish_output() { is_output_finished_ = true; }

 private:
  // Server: whether there is a place for whom it is; only asked after a good proof.
  [[nodiscard]] Admittance admit(const ServerHandshakeConfig& config,
                                 const AuthIdentity& identity) const {
    return config.admits ? config.admits(now_, identity) : Admittance::admitted;
  }
  // Server: what the limits on failures make of a proof.
  [[nodiscard]] AuthVerdict judge(const ServerHandshakeConfig& config, AuthAttempt attempt) const;

  Bytes input_;
  Bytes output_;
  std::optional<Verdict> verdict_;  // nobody has asked for
  Instant deadline_;
  Instant now_{};
  bool is_decided_ = false;
  bool is_broken_ = false;  // refused or failed: whatever else comes is ignored
  bool is_output_finished_ = false;
};

}  // namespace culvert::session
