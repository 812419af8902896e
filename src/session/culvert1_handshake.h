// The handshakes of culvert/1 (docs/protocol/culvert-1.md 3, 7 and 8). Private to session/.
#pragma once

#include "session/handshake_base.h"
#include "session/message.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::session {

inline constexpr std::uint64_t kCulvert1Version = 1;

using Nonce = std::array<std::uint8_t, 32>;

// HMAC-SHA256(token, "culvert/1 token" || 0 || exporter || nonce): shows that the token is
// known without showing it, on this connection only.
[[nodiscard]] std::array<std::uint8_t, 32> token_proof(std::string_view token,
                                                       const ExporterValue& exporter,
                                                       const Nonce& nonce);
// What a key proof signs: "culvert/1 key" || 0 || exporter || nonce.
[[nodiscard]] Bytes key_proof_message(const ExporterValue& exporter, const Nonce& nonce);

[[nodiscard]] constexpr std::uint64_t bit(ProofKind kind) {
  return std::uint64_t{1} << static_cast<unsigned>(kind);
}
[[nodiscard]] constexpr std::uint64_t features(bool with_resume) {
  return with_resume ? kFeatureResume | kFeatureMultipath : 0;
}
[[nodiscard]] inline bool has_feature(const Message& message, std::uint64_t tag,
                                      std::uint64_t feature) {
  return (message.number(tag).value_or(0) & feature) != 0;
}

class Culvert1Client final : public HandshakeBase {
 public:
  Culvert1Client(const ClientHandshakeConfig& config, const ExporterValue& exporter, Instant now);

 private:
  Decoded<std::size_t> handle_message(ByteView input) override;
  Error ended_early() const override;
  Error timed_out() const override;
  Decoded<void> handle_challenge(const Message& message);
  Decoded<void> handle_accepted(const Message& message);
  Decoded<void> handle_refused(const Message& message);
  Decoded<void> handle_resumed(const Message& message);
  Decoded<void> handle_resume_failed(const Message& message);
  Decoded<void> handle_joined(const Message& message);
  [[nodiscard]] std::optional<ResumeTerms> agreed_terms(const Message& message) const;
  void prove();

  ClientHandshakeConfig config_;
  ProofBinding binding_;           // without a nonce before the challenge
  std::uint64_t proof_kinds_ = 0;  // that the server takes
  std::string resume_refusal_;
  ProofKind proof_ = ProofKind::nothing;
  bool has_challenge_ = false;
  bool can_resume_ = false;  // both sides have the feature
  bool can_join_ = false;    // ... and this one
  bool is_resuming_ = false;
  bool is_joining_ = false;
  bool has_proved_ = false;
};

class Culvert1Server final : public HandshakeBase {
 public:
  Culvert1Server(const ServerHandshakeConfig& config, const crypto::EndpointId& peer,
                 const ExporterValue& exporter, Rng& rng, Instant now);

 private:
  Decoded<std::size_t> handle_message(ByteView input) override;
  Error ended_early() const override;
  Error timed_out() const override;
  Decoded<void> handle_hello(const Message& message);
  Decoded<void> handle_proof(const Message& message);
  Decoded<void> handle_resume(const Message& message);
  Decoded<void> handle_join(const Message& message);
  // That the session of this id has.
  [[nodiscard]] std::vector<ResumeKey> keys_of(const SessionId& session_id) const;
  // Who the proof shows the client to be; nothing when it shows nobody we know.
  [[nodiscard]] std::optional<AuthIdentity> verify(const Message& proof) const;
  [[nodiscard]] AuthAttempt attempt_of(const Message& proof, bool is_valid) const;
  void answer_refused(Refused refused);

  ServerHandshakeConfig config_;
  crypto::EndpointId peer_;
  ProofBinding binding_;  // without a nonce before the challenge
  Rng& rng_;
  bool has_greeted_ = false;
  bool can_resume_ = false;
  bool has_tried_to_resume_ = false;
};

}  // namespace culvert::session
