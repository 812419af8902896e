// The handshakes of culvert/1 (docs/protocol/culvert-1.md 3). Private to session/.
#pragma once

#include "session/handshake_base.h"
#include "session/message.h"

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

class Culvert1Client final : public HandshakeBase {
 public:
  Culvert1Client(const ClientHandshakeConfig& config, const ExporterValue& exporter, Instant now);
  void leave(std::string_view reason) override;
  void promote(const ResumeKey& key) override;
  void announce_gone(std::span<const std::uint64_t> ids) override;
  void announce_done(std::uint64_t count) override;

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
  ExporterValue exporter_;
  Nonce nonce_{};
  std::uint64_t proof_kinds_ = 0;  // that the server takes
  std::string resume_refusal_;
  ProofKind proof_ = ProofKind::nothing;
  bool has_challenge_ = false;
  bool can_resume_ = false;  // both sides have the feature
  bool can_join_ = false;    // ... and this one
  bool is_resuming_ = false;
  bool is_joining_ = false;
  bool is_promoting_ = false;  // asked for, not answered
  bool has_proved_ = false;
};

class Culvert1Server final : public HandshakeBase {
 public:
  Culvert1Server(const ServerHandshakeConfig& config, const crypto::EndpointId& peer,
                 const ExporterValue& exporter, Rng& rng, Instant now);
  void leave(std::string_view reason) override;

 private:
  Decoded<std::size_t> handle_message(ByteView input) override;
  Error ended_early() const override;
  Error timed_out() const override;
  Decoded<void> handle_hello(const Message& message);
  Decoded<void> handle_proof(const Message& message);
  using Proof = std::array<std::uint8_t, 32>(const ResumeKey& key, const ExporterValue& exporter,
                                             const Nonce& nonce);

  Decoded<void> handle_resume(const Message& message);
  Decoded<void> handle_join(const Message& message);
  Decoded<void> handle_promote(const Message& message);
  // Which of the session's keys made `mac`.
  [[nodiscard]] std::optional<std::size_t> find_key(const SessionId& session_id,
                                                    const std::array<std::uint8_t, 32>& mac,
                                                    Proof* proof) const;
  void answer_resumed(const SessionId& session_id);
  Decoded<void> handle_resume_done(const Message& message);
  Decoded<void> handle_flows_gone(const Message& message);
  // Who the proof shows the client to be; nothing when it shows nobody we know.
  [[nodiscard]] std::optional<AuthIdentity> verify(const Message& proof) const;
  [[nodiscard]] AuthAttempt attempt_of(const Message& proof, bool is_valid) const;
  void answer_refused(Refused refused);

  ServerHandshakeConfig config_;
  crypto::EndpointId peer_;
  ExporterValue exporter_;
  Rng& rng_;
  Nonce nonce_{};
  bool has_greeted_ = false;
  bool can_resume_ = false;
  bool has_tried_to_resume_ = false;
  bool is_resumed_ = false;
  std::optional<SessionId> joined_;
};

}  // namespace culvert::session
