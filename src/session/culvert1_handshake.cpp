#include "session/culvert1_handshake.h"

#include "base/limits.h"
#include "crypto/mac.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::session {
namespace {

// Field tags, by message.
enum HelloTag : std::uint64_t { kVersions = 1, kHelloFeatures = 2, kSoftware = 3 };
enum ChallengeTag : std::uint64_t { kNonce = 1, kProofKinds = 2, kVersion = 3, kFeatures = 4 };
enum ProofTag : std::uint64_t { kKind = 1, kMac = 2, kPublicKey = 3, kSignature = 4 };
enum AcceptedTag : std::uint64_t { kSessionId = 1, kMaxFlows = 2, kWorker = 3, kGrace = 4 };
enum ResumeTag : std::uint64_t { kResumeId = 1, kResumeMac = 2 };
enum ResumedTag : std::uint64_t { kResumedId = 1, kResumedWorker = 3, kResumedGrace = 4 };
enum JoinTag : std::uint64_t { kJoinId = 1, kJoinMac = 2 };
enum PromoteTag : std::uint64_t { kPromoteMac = 1 };
enum JoinedTag : std::uint64_t { kJoinedId = 1 };
enum ResumeFailedTag : std::uint64_t { kFailedReason = 1 };
enum ResumeDoneTag : std::uint64_t { kDoneCount = 1 };
enum FlowsGoneTag : std::uint64_t { kGoneIds = 1 };
enum RefusedTag : std::uint64_t { kCode = 1, kReason = 2, kRetryAfter = 3 };

constexpr std::string_view kSoftwareName = "culvert";
constexpr std::string_view kTokenContext{"culvert/1 token\0", 16};
constexpr std::string_view kKeyContext{"culvert/1 key\0", 14};

std::uint64_t bit(ProofKind kind) {
  return std::uint64_t{1} << static_cast<unsigned>(kind);
}

Bytes bound_message(std::string_view context, const ExporterValue& exporter, const Nonce& nonce) {
  Bytes message;
  ByteWriter writer(message);
  writer.raw(as_bytes(context));
  writer.raw(exporter);
  writer.raw(nonce);
  return message;
}

void append_goodbye(std::string_view reason, Bytes& out) {
  MessageBuilder(MessageType::goodbye)
      .number(kCode, static_cast<std::uint64_t>(CloseCode::done))
      .text(kReason, reason)
      .append_to(out);
}

std::uint64_t features(bool with_resume) {
  return with_resume ? kFeatureResume | kFeatureMultipath : 0;
}

bool has_feature(const Message& message, std::uint64_t tag, std::uint64_t feature) {
  return (message.number(tag).value_or(0) & feature) != 0;
}

std::uint64_t seconds_of(Duration duration) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

// Worker and grace have the same tags in Accepted and Resumed.
std::optional<ResumeTerms> terms_of(const Message& message) {
  static_assert(std::uint64_t{kWorker} == kResumedWorker && std::uint64_t{kGrace} == kResumedGrace);
  const std::uint64_t grace = message.number(kGrace).value_or(0);
  const std::uint64_t worker = message.number(kWorker).value_or(256);
  if (grace == 0 || worker > 255) return std::nullopt;
  return ResumeTerms{
      .grace = std::chrono::seconds(std::min<std::uint64_t>(grace, limits::kMaxResumeGraceSeconds)),
      .worker = static_cast<std::uint8_t>(worker)};
}

std::unexpected<DecodeError> malformed() {
  return std::unexpected(DecodeError::malformed);
}

}  // namespace

std::array<std::uint8_t, 32> token_proof(std::string_view token, const ExporterValue& exporter,
                                         const Nonce& nonce) {
  return crypto::hmac_sha256(as_bytes(token), bound_message(kTokenContext, exporter, nonce));
}

Bytes key_proof_message(const ExporterValue& exporter, const Nonce& nonce) {
  return bound_message(kKeyContext, exporter, nonce);
}

// --- client --------------------------------------------------------------------------------

Culvert1Client::Culvert1Client(const ClientHandshakeConfig& config, const ExporterValue& exporter,
                               Instant now)
    : HandshakeBase(now), config_(config), exporter_(exporter) {
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
  } else if (is_type(*message, MessageType::goodbye)) {
    emit(PeerLeaving{message->text(kReason)});
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
  nonce_ = *nonce;
  proof_kinds_ = *kinds;
  can_resume_ = config_.offers_resume && has_feature(message, kFeatures, kFeatureResume);
  can_join_ = can_resume_ && has_feature(message, kFeatures, kFeatureMultipath);
  if (config_.joins) {
    if (!can_join_ || !config_.ticket) return std::unexpected(DecodeError::unsupported);
    is_joining_ = true;
    MessageBuilder(MessageType::join)
        .bytes(kJoinId, config_.ticket->session_id)
        .bytes(kJoinMac, join_proof(config_.ticket->key, exporter_, nonce_))
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
      .bytes(kResumeMac, resume_proof(config_.ticket->key, exporter_, nonce_))
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
        .bytes(kSignature, credentials.key->sign(key_proof_message(exporter_, nonce_)));
  } else if (credentials.token && (proof_kinds_ & bit(ProofKind::token)) != 0) {
    proof_ = ProofKind::token;
    proof.bytes(kMac, token_proof(credentials.token->reveal(), exporter_, nonce_));
  } else {
    // TLS has shown our EndpointId; whether that suffices is the server's policy.
    proof_ = ProofKind::endpoint_id;
  }
  proof.number(kKind, static_cast<std::uint64_t>(proof_)).append_to(output());
}

Decoded<void> Culvert1Client::handle_resumed(const Message& message) {
  const auto terms = agreed_terms(message);
  if ((!is_promoting_ && (!is_resuming_ || is_decided())) || !terms ||
      message.array<16>(kResumedId) != config_.ticket->session_id) {
    return malformed();
  }
  Resumed resumed{.session_id = config_.ticket->session_id, .terms = *terms, .key_index = 0};
  is_resuming_ = false;
  if (std::exchange(is_promoting_, false)) {
    emit(resumed);
  } else {
    succeed(resumed);
  }
  return {};
}

Decoded<void> Culvert1Client::handle_joined(const Message& message) {
  if (!is_joining_ || is_decided() || message.array<16>(kJoinedId) != config_.ticket->session_id) {
    return malformed();
  }
  succeed(Joined{config_.ticket->session_id});
  return {};
}

void Culvert1Client::promote(const ResumeKey& key) {
  is_promoting_ = true;
  MessageBuilder(MessageType::promote)
      .bytes(kPromoteMac, resume_proof(key, exporter_, nonce_))
      .append_to(output());
}

std::optional<ResumeTerms> Culvert1Client::agreed_terms(const Message& message) const {
  auto terms = terms_of(message);
  if (terms) terms->is_multipath = can_join_;
  return terms;
}

Decoded<void> Culvert1Client::handle_resume_failed(const Message& message) {
  if (!is_resuming_ || is_decided()) return malformed();
  is_resuming_ = false;
  resume_refusal_ = message.text(kFailedReason);
  prove();
  return {};
}

void Culvert1Client::announce_gone(std::span<const std::uint64_t> ids) {
  while (!ids.empty()) {
    const auto some = ids.first(std::min(ids.size(), limits::kMaxGoneIds));
    Bytes list;
    ByteWriter writer(list);
    for (const std::uint64_t id : some) writer.varint(id);
    MessageBuilder(MessageType::flows_gone).bytes(kGoneIds, list).append_to(output());
    ids = ids.subspan(some.size());
  }
}

void Culvert1Client::announce_done(std::uint64_t count) {
  MessageBuilder(MessageType::resume_done).number(kDoneCount, count).append_to(output());
}

Decoded<void> Culvert1Client::handle_accepted(const Message& message) {
  const auto session_id = message.array<16>(kSessionId);
  if (!has_proved_ || is_decided() || !session_id) return malformed();
  succeed({.identity = {.kind = proof_, .comment = {}, .credential = {}},
           .session_id = *session_id,
           .max_flows = message.number(kMaxFlows).value_or(0),
           .resume = can_resume_ ? agreed_terms(message) : std::nullopt,
           .resume_refusal = resume_refusal_});
  return {};
}

Decoded<void> Culvert1Client::handle_refused(const Message& message) {
  const auto code = message.number(kCode);
  if (is_decided() || !code) return malformed();
  const std::uint64_t retry_after = message.number(kRetryAfter).value_or(0);
  refuse({.code = static_cast<CloseCode>(*code),
          .reason = message.text(kReason),
          .retry_after_s = static_cast<std::uint32_t>(std::min<std::uint64_t>(retry_after, 86'400)),
          .kind = proof_});
  return {};
}

void Culvert1Client::leave(std::string_view reason) {
  append_goodbye(reason, output());
}

Error Culvert1Client::ended_early() const {
  return {ErrorKind::protocol, "the server ended the control stream before answering", {}};
}
Error Culvert1Client::timed_out() const {
  return {ErrorKind::authentication, "the server did not answer the authentication in time", {}};
}

// --- server --------------------------------------------------------------------------------

Culvert1Server::Culvert1Server(const ServerHandshakeConfig& config, const crypto::EndpointId& peer,
                               const ExporterValue& exporter, Rng& rng, Instant now)
    : HandshakeBase(now), config_(config), peer_(peer), exporter_(exporter), rng_(rng) {}

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
  } else if (is_type(*message, MessageType::promote)) {
    handled = handle_promote(*message);
  } else if (is_type(*message, MessageType::resume_done)) {
    handled = handle_resume_done(*message);
  } else if (is_type(*message, MessageType::flows_gone)) {
    handled = handle_flows_gone(*message);
  } else if (is_type(*message, MessageType::goodbye)) {
    emit(PeerLeaving{message->text(kReason)});
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
  rng_.fill(nonce_);
  MessageBuilder(MessageType::challenge)
      .bytes(kNonce, nonce_)
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
      const bool is_equal =
          crypto::constant_time_equal(token_proof(token.reveal(), exporter_, nonce_), *mac);
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
    const auto comment = policy.keys.lookup(key);
    if (comment && key.verify(key_proof_message(exporter_, nonce_), *signature)) {
      return AuthIdentity{
          .kind = ProofKind::key, .comment = *comment, .credential = credential_id(key)};
    }
  }
  if (const auto known = policy.endpoint_ids.find(peer_); known != policy.endpoint_ids.end()) {
    return AuthIdentity{.kind = ProofKind::endpoint_id,
                        .comment = known->second,
                        .credential = credential_id(peer_)};
  }
  if (policy.allows_anyone) return AuthIdentity{};
  return std::nullopt;
}

Decoded<void> Culvert1Server::handle_proof(const Message& message) {
  if (!has_greeted_ || is_decided() || !message.number(kKind)) return malformed();
  const auto identity = verify(message);
  const AuthAttempt attempt = attempt_of(message, identity.has_value());
  const AuthVerdict verdict = judge(config_, attempt);
  Refused refused{.kind = attempt.kind, .verdict = verdict};
  if (verdict.is_rate_limited()) {
    refused.code = CloseCode::rate_limited;
    refused.reason = kTooManyFailures;
    refused.retry_after_s = verdict.retry_after_s;
  } else if (!identity) {
    refused.reason = kBadProof;
  } else if (const Admittance place = admit(config_, *identity); place != Admittance::admitted) {
    refused.code = CloseCode::session_limit;
    refused.reason = to_string(place);
  }
  if (!refused.reason.empty()) {
    answer_refused(std::move(refused));
    return {};
  }
  SessionId session_id{};
  rng_.fill(session_id);
  MessageBuilder accepted(MessageType::accepted);
  accepted.bytes(kSessionId, session_id).number(kMaxFlows, config_.max_flows);
  if (can_resume_) {
    accepted.number(kWorker, config_.resume->worker)
        .number(kGrace, seconds_of(config_.resume->grace));
  }
  accepted.append_to(output());
  succeed({.identity = *identity,
           .session_id = session_id,
           .max_flows = config_.max_flows,
           .resume = can_resume_ ? config_.resume : std::nullopt});
  return {};
}

// One try a connection: who fails proves itself in the ordinary way.
Decoded<void> Culvert1Server::handle_resume(const Message& message) {
  const auto session_id = message.array<16>(kResumeId);
  const auto mac = message.array<32>(kResumeMac);
  if (!can_resume_ || has_tried_to_resume_ || is_decided() || !session_id || !mac) {
    return malformed();
  }
  has_tried_to_resume_ = true;
  const auto known = find_key(*session_id, *mac, resume_proof);
  if (!known) {
    // The same words whether the session or the key is wrong.
    MessageBuilder(MessageType::resume_failed)
        .text(kFailedReason, "the server does not have this session any more")
        .append_to(output());
    return {};
  }
  answer_resumed(*session_id);
  succeed(Resumed{.session_id = *session_id, .terms = *config_.resume, .key_index = *known});
  return {};
}

std::optional<std::size_t> Culvert1Server::find_key(const SessionId& session_id,
                                                    const std::array<std::uint8_t, 32>& mac,
                                                    Proof* proof) const {
  if (!config_.resume_keys) return std::nullopt;
  return find_proof(config_.resume_keys(session_id), mac, proof,
                    {.exporter = exporter_, .nonce = nonce_});
}

void Culvert1Server::answer_resumed(const SessionId& session_id) {
  MessageBuilder(MessageType::resumed)
      .bytes(kResumedId, session_id)
      .number(kResumedWorker, config_.resume->worker)
      .number(kResumedGrace, seconds_of(config_.resume->grace))
      .append_to(output());
  is_resumed_ = true;
}

Decoded<void> Culvert1Server::handle_join(const Message& message) {
  const auto session_id = message.array<16>(kJoinId);
  const auto mac = message.array<32>(kJoinMac);
  const bool may_join = can_resume_ && config_.resume->is_multipath;
  if (!may_join || has_tried_to_resume_ || is_decided() || !session_id || !mac) {
    return malformed();
  }
  has_tried_to_resume_ = true;
  if (!find_key(*session_id, *mac, join_proof)) {
    answer_refused(
        {.code = CloseCode::moved, .reason = "the server does not have this session any more"});
    return {};
  }
  MessageBuilder(MessageType::joined).bytes(kJoinedId, *session_id).append_to(output());
  joined_ = *session_id;
  succeed(Joined{*session_id});
  return {};
}

Decoded<void> Culvert1Server::handle_promote(const Message& message) {
  const auto mac = message.array<32>(kPromoteMac);
  if (!joined_ || is_resumed_ || !mac) return malformed();
  const auto known = find_key(*joined_, *mac, resume_proof);
  if (!known) return malformed();
  answer_resumed(*joined_);
  emit(Promoted{*known});
  return {};
}

Decoded<void> Culvert1Server::handle_resume_done(const Message& message) {
  const auto count = message.number(kDoneCount);
  if (!is_resumed_ || !count) return malformed();
  emit(ResumeDone{*count});
  return {};
}

Decoded<void> Culvert1Server::handle_flows_gone(const Message& message) {
  const auto list = message.field(kGoneIds);
  auto ids = list ? decode_flow_ids(*list) : std::nullopt;
  if (!can_resume_ || !is_decided() || !ids) return malformed();
  emit(FlowsGone{std::move(*ids)});
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
  refuse(std::move(refused));
}

void Culvert1Server::leave(std::string_view reason) {
  append_goodbye(reason, output());
}

Error Culvert1Server::ended_early() const {
  return {ErrorKind::protocol, "the client ended the control stream before authenticating", {}};
}
Error Culvert1Server::timed_out() const {
  return no_authentication_in_time();
}

}  // namespace culvert::session
