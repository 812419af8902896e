#include "crypto/mac.h"
#include "session/culvert1_fields.h"
#include "session/culvert1_handshake.h"

#include <algorithm>

namespace culvert::session {

Culvert1Server::Culvert1Server(const ServerHandshakeConfig& config, const crypto::EndpointId& peer,
                               const ExporterValue& exporter, Rng& rng, Instant now)
    : HandshakeBase(now), config_(config), peer_(peer), binding_{.exporter = exporter}, rng_(rng) {}

Decoded<std::size_t> Culvert1Server::handle_message(ByteView input) {
  const auto message = decode_message(input);
  if (!message) return std::unexpected(message.error());
  Decoded<void> handled;
  if (is_type(*message, MessageType::hello)) {
    handled = handle_hello(*message);
  } else if (is_type(*message, MessageType::proof)) {
    handled = handle_proof(*message);
  } else if (is_type(*message, MessageType::resume)) {
    handled = handle_resume(*message);
  } else if (is_type(*message, MessageType::join)) {
    handled = handle_join(*message);
  } else if (is_known_at(ControlEnd::server, message->type) &&
             !is_type(*message, MessageType::goodbye)) {
    handled = malformed();  // of a session: it has none yet
  }
  if (!handled) return std::unexpected(handled.error());
  return message->size;
}

Decoded<void> Culvert1Server::handle_hello(const Message& message) {
  const auto versions = message.field(kVersions);
  if (has_greeted_ || !versions) return malformed();
  has_greeted_ = true;
  if (std::ranges::find(*versions, kCulvert1Version) == versions->end()) {
    answer_refused({.code = CloseCode::protocol_error,
                    .reason = "this server speaks culvert/1 version 1 only"});
    return {};
  }
  const ServerAuthPolicy& policy = *config_.policy;
  can_resume_ = config_.resume.has_value() && has_feature(message, kHelloFeatures, kFeatureResume);
  if (can_resume_) {
    config_.resume->is_multipath = has_feature(message, kHelloFeatures, kFeatureMultipath);
  }
  std::uint64_t kinds = bit(ProofKind::endpoint_id);
  if (!policy.tokens.is_empty()) kinds |= bit(ProofKind::token);
  if (!policy.keys.is_empty()) kinds |= bit(ProofKind::key);
  rng_.fill(binding_.nonce);
  MessageBuilder(MessageType::challenge)
      .bytes(kNonce, binding_.nonce)
      .number(kProofKinds, kinds)
      .number(kVersion, kCulvert1Version)
      .number(kFeatures, features(config_.resume.has_value()))
      .append_to(output());
  return {};
}

std::optional<AuthIdentity> Culvert1Server::verify(const Message& proof) const {
  const ServerAuthPolicy& policy = *config_.policy;
  if (const auto mac = proof.array<32>(kMac)) {
    const Token* known = nullptr;
    for (const Token& token : policy.tokens.tokens()) {
      // To the end in any case: the time must not tell which token matched.
      const bool is_equal = crypto::constant_time_equal(
          token_proof(token.reveal(), binding_.exporter, binding_.nonce), *mac);
      known = is_equal ? &token : known;
    }
    if (known != nullptr) {
      return AuthIdentity{.kind = ProofKind::token,
                          .comment = {},
                          .credential = credential_id(std::string_view(known->reveal()))};
    }
  }
  const auto key_bytes = proof.array<32>(kPublicKey);
  const auto signature = proof.array<64>(kSignature);
  if (key_bytes && signature) {
    const crypto::PublicKey key(*key_bytes);
    const auto message = key_proof_message(binding_.exporter, binding_.nonce);
    if (auto identity = policy.identity_of(key, message, *signature)) return identity;
  }
  return policy.identity_without_proof(peer_);
}

Decoded<void> Culvert1Server::handle_proof(const Message& message) {
  if (!has_greeted_ || !message.number(kKind)) return malformed();
  const auto identity = verify(message);
  const AuthAttempt attempt = attempt_of(message, identity.has_value());
  if (auto refused = refusal_of(config_, attempt, identity, kBadProof)) {
    answer_refused(std::move(*refused));
    return {};
  }
  SessionId session_id{};
  rng_.fill(session_id);
  MessageBuilder accepted(MessageType::accepted);
  accepted.bytes(kSessionId, session_id).number(kMaxFlows, config_.max_flows);
  if (can_resume_) put_terms(*config_.resume, accepted);
  accepted.append_to(output());
  decide(Authenticated{.identity = *identity,
                       .session_id = session_id,
                       .max_flows = config_.max_flows,
                       .resume = can_resume_ ? config_.resume : std::nullopt});
  return {};
}

std::vector<ResumeKey> Culvert1Server::keys_of(const SessionId& session_id) const {
  return config_.resume_keys ? config_.resume_keys(session_id) : std::vector<ResumeKey>{};
}

// One try a connection: who fails proves itself in the ordinary way.
Decoded<void> Culvert1Server::handle_resume(const Message& message) {
  const auto session_id = message.array<16>(kResumeId);
  const auto mac = message.array<32>(kResumeMac);
  if (!can_resume_ || has_tried_to_resume_ || !session_id || !mac) return malformed();
  has_tried_to_resume_ = true;
  const auto known = find_proof(keys_of(*session_id), *mac, resume_proof, binding_);
  if (!known) {
    // The same words whether the session or the key is wrong.
    MessageBuilder(MessageType::resume_failed)
        .text(kFailedReason, "the server does not have this session any more")
        .append_to(output());
    return {};
  }
  resumed_message(*session_id, *config_.resume).append_to(output());
  decide(Resumed{.session_id = *session_id, .terms = *config_.resume, .key_index = *known});
  return {};
}

Decoded<void> Culvert1Server::handle_join(const Message& message) {
  const auto session_id = message.array<16>(kJoinId);
  const auto mac = message.array<32>(kJoinMac);
  const bool may_join = can_resume_ && config_.resume->is_multipath;
  if (!may_join || has_tried_to_resume_ || !session_id || !mac) return malformed();
  has_tried_to_resume_ = true;
  if (!find_proof(keys_of(*session_id), *mac, join_proof, binding_)) {
    answer_refused(
        {.code = CloseCode::moved, .reason = "the server does not have this session any more"});
    return {};
  }
  MessageBuilder(MessageType::joined).bytes(kJoinedId, *session_id).append_to(output());
  decide(Joined{.session_id = *session_id, .binding = binding_});
  return {};
}

AuthAttempt Culvert1Server::attempt_of(const Message& proof, bool is_valid) const {
  const auto key = proof.field(kPublicKey);
  if (key && key->size() == crypto::PublicKey::kSize) {
    return {.kind = ProofKind::key, .credential = *key, .is_valid = is_valid};
  }
  // A MAC does not tell which wrong token made it: what we know is who is trying.
  return {.kind = proof.field(kMac) ? ProofKind::token : ProofKind::endpoint_id,
          .credential = peer_.bytes(),
          .is_valid = is_valid};
}

void Culvert1Server::answer_refused(Refused refused) {
  MessageBuilder message(MessageType::refused);
  message.number(kCode, static_cast<std::uint64_t>(refused.code)).text(kReason, refused.reason);
  if (refused.retry_after_s > 0) message.number(kRetryAfter, refused.retry_after_s);
  message.append_to(output());
  finish_output();
  decide(std::move(refused));
}

Error Culvert1Server::ended_early() const {
  return {ErrorKind::protocol, "the client ended the control stream before authenticating", {}};
}
Error Culvert1Server::timed_out() const {
  return no_authentication_in_time();
}

}  // namespace culvert::session
