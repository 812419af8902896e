#include "session/culvert1_fields.h"
#include "session/culvert1_handshake.h"

#include <algorithm>

namespace culvert::session {
namespace {

constexpr std::string_view kSoftwareName = "culvert";

}  // namespace

Culvert1Client::Culvert1Client(const ClientHandshakeConfig& config, const ExporterValue& exporter,
                               Instant now)
    : HandshakeBase(now), config_(config), binding_{.exporter = exporter} {
  const std::array<std::uint8_t, 1> versions{kCulvert1Version};
  MessageBuilder(MessageType::hello)
      .bytes(kVersions, versions)
      .number(kHelloFeatures, features(config_.offers_resume))
      .text(kSoftware, kSoftwareName)
      .append_to(output());
}

Decoded<std::size_t> Culvert1Client::handle_message(ByteView input) {
  const auto message = decode_message(input);
  if (!message) return std::unexpected(message.error());
  Decoded<void> handled;
  if (is_type(*message, MessageType::challenge)) {
    handled = handle_challenge(*message);
  } else if (is_type(*message, MessageType::accepted)) {
    handled = handle_accepted(*message);
  } else if (is_type(*message, MessageType::refused)) {
    handled = handle_refused(*message);
  } else if (is_type(*message, MessageType::resumed)) {
    handled = handle_resumed(*message);
  } else if (is_type(*message, MessageType::joined)) {
    handled = handle_joined(*message);
  } else if (is_type(*message, MessageType::resume_failed)) {
    handled = handle_resume_failed(*message);
  }
  if (!handled) return std::unexpected(handled.error());
  return message->size;
}

Decoded<void> Culvert1Client::handle_challenge(const Message& message) {
  const auto nonce = message.array<32>(kNonce);
  const auto kinds = message.number(kProofKinds);
  if (has_challenge_ || !nonce || !kinds) return malformed();
  if (message.number(kVersion) != kCulvert1Version) {
    return std::unexpected(DecodeError::unsupported);
  }
  has_challenge_ = true;
  binding_.nonce = *nonce;
  proof_kinds_ = *kinds;
  can_resume_ = config_.offers_resume && has_feature(message, kFeatures, kFeatureResume);
  can_join_ = can_resume_ && has_feature(message, kFeatures, kFeatureMultipath);
  if (config_.joins) {
    if (!can_join_ || !config_.ticket) return std::unexpected(DecodeError::unsupported);
    is_joining_ = true;
    MessageBuilder(MessageType::join)
        .bytes(kJoinId, config_.ticket->session_id)
        .bytes(kJoinMac, join_proof(config_.ticket->key, binding_.exporter, binding_.nonce))
        .append_to(output());
    return {};
  }
  is_resuming_ = can_resume_ && config_.ticket.has_value();
  if (!is_resuming_) {
    prove();
    return {};
  }
  MessageBuilder(MessageType::resume)
      .bytes(kResumeId, config_.ticket->session_id)
      .bytes(kResumeMac, resume_proof(config_.ticket->key, binding_.exporter, binding_.nonce))
      .append_to(output());
  return {};
}

void Culvert1Client::prove() {
  has_proved_ = true;
  const ClientCredentials& credentials = *config_.credentials;
  MessageBuilder proof(MessageType::proof);
  if (credentials.key && (proof_kinds_ & bit(ProofKind::key)) != 0) {
    proof_ = ProofKind::key;
    proof.bytes(kPublicKey, credentials.key->public_key().bytes())
        .bytes(kSignature,
               credentials.key->sign(key_proof_message(binding_.exporter, binding_.nonce)));
  } else if (credentials.token && (proof_kinds_ & bit(ProofKind::token)) != 0) {
    proof_ = ProofKind::token;
    proof.bytes(kMac, token_proof(credentials.token->reveal(), binding_.exporter, binding_.nonce));
  } else {
    // TLS has shown our EndpointId; whether that suffices is the server's policy.
    proof_ = ProofKind::endpoint_id;
  }
  proof.number(kKind, static_cast<std::uint64_t>(proof_)).append_to(output());
}

Decoded<void> Culvert1Client::handle_resumed(const Message& message) {
  const auto terms = agreed_terms(message);
  if (!is_resuming_ || !terms || message.array<16>(kResumedId) != config_.ticket->session_id) {
    return malformed();
  }
  decide(Resumed{.session_id = config_.ticket->session_id, .terms = *terms});
  return {};
}

Decoded<void> Culvert1Client::handle_joined(const Message& message) {
  if (!is_joining_ || message.array<16>(kJoinedId) != config_.ticket->session_id) {
    return malformed();
  }
  decide(Joined{.session_id = config_.ticket->session_id, .binding = binding_});
  return {};
}

std::optional<ResumeTerms> Culvert1Client::agreed_terms(const Message& message) const {
  auto terms = terms_of(message);
  if (terms) terms->is_multipath = can_join_;
  return terms;
}

Decoded<void> Culvert1Client::handle_resume_failed(const Message& message) {
  if (!is_resuming_) return malformed();
  is_resuming_ = false;
  resume_refusal_ = message.text(kFailedReason);
  prove();
  return {};
}

Decoded<void> Culvert1Client::handle_accepted(const Message& message) {
  const auto session_id = message.array<16>(kSessionId);
  if (!has_proved_ || !session_id) return malformed();
  decide(Authenticated{.identity = {.kind = proof_, .comment = {}, .credential = {}},
                       .session_id = *session_id,
                       .max_flows = message.number(kMaxFlows).value_or(0),
                       .resume = can_resume_ ? agreed_terms(message) : std::nullopt,
                       .resume_refusal = resume_refusal_});
  return {};
}

Decoded<void> Culvert1Client::handle_refused(const Message& message) {
  const auto code = message.number(kCode);
  if (!code) return malformed();
  const std::uint64_t retry_after = message.number(kRetryAfter).value_or(0);
  decide(Refused{
      .code = static_cast<CloseCode>(*code),
      .reason = message.text(kReason),
      .retry_after_s = static_cast<std::uint32_t>(std::min<std::uint64_t>(retry_after, 86'400)),
      .kind = proof_});
  return {};
}

Error Culvert1Client::ended_early() const {
  return {ErrorKind::protocol, "the server ended the control stream before answering", {}};
}
Error Culvert1Client::timed_out() const {
  return {ErrorKind::authentication, "the server did not answer the authentication in time", {}};
}

}  // namespace culvert::session
