#include "session/mf4_handshake.h"

namespace culvert::session {
namespace {

constexpr std::string_view kBadToken = "Invalid authentication token";

}  // namespace

Mf4Client::Mf4Client(const ClientCredentials& credentials, Instant now)
    : HandshakeBase(now), credentials_(credentials) {
  if (credentials_.key) {
    mf4::append_auth_init(output());
    return;
  }
  mf4::append_auth_token(credentials_.token ? credentials_.token->reveal() : "", output());
  has_proved_ = true;
  finish_output();
}

Decoded<std::size_t> Mf4Client::handle_message(ByteView input) {
  const auto head = mf4::decode_auth_message(input);
  if (!head) return std::unexpected(head.error());
  const mf4::AuthMessage& message = head->value;
  if (!has_proved_) {
    if (!message.challenge) return std::unexpected(DecodeError::malformed);
    mf4::append_auth_proof(credentials_.key->public_key().bytes(),
                           credentials_.key->sign(mf4::proof_message(*message.challenge)),
                           output());
    has_proved_ = true;
    finish_output();
  } else if (!message.accepted) {
    return std::unexpected(DecodeError::malformed);
  } else if (*message.accepted) {
    decide(Authenticated{
        .identity = {.kind = credentials_.key ? ProofKind::key : ProofKind::token, .comment = {}},
        .session_id = {},
        .max_flows = 0,
        .dialect = credentials_.key ? Dialect::mf_4 : Dialect::mf_4_token});
  } else {
    decide(Refused{.code = CloseCode::auth_failed,
                   .reason = message.reason.empty() ? std::string(kBadProof) : message.reason,
                   .kind = credentials_.key ? ProofKind::key : ProofKind::token});
  }
  return head->size;
}

Error Mf4Client::ended_early() const {
  return {ErrorKind::authentication, "the server ended the authentication without an answer", {}};
}
Error Mf4Client::timed_out() const {
  return {ErrorKind::authentication, "the server did not answer the authentication in time", {}};
}

Mf4Server::Mf4Server(const ServerHandshakeConfig& config, const crypto::EndpointId& peer, Rng& rng,
                     Instant now)
    : HandshakeBase(now), config_(config), peer_(peer), rng_(rng) {}

Decoded<std::size_t> Mf4Server::handle_message(ByteView input) {
  const auto head = mf4::decode_auth_message(input);
  if (!head) return std::unexpected(head.error());
  const mf4::AuthMessage& message = head->value;
  const bool is_init = message.version == mf4::kKeyVersion && !message.public_key;
  if (is_init) {
    if (challenge_) return std::unexpected(DecodeError::malformed);
    rng_.fill(challenge_.emplace());
    mf4::append_auth_challenge(*challenge_, output());
  } else {
    answer(message, verify(message));
  }
  return head->size;
}

std::optional<AuthIdentity> Mf4Server::verify(const mf4::AuthMessage& message) const {
  const ServerAuthPolicy& policy = *config_.policy;
  if (message.auth_token && policy.tokens.contains(*message.auth_token)) {
    return AuthIdentity{.kind = ProofKind::token,
                        .comment = {},
                        .credential = credential_id(std::string_view(*message.auth_token))};
  }
  if (challenge_ && message.public_key && message.signature) {
    const crypto::PublicKey key(*message.public_key);
    if (auto identity =
            policy.identity_of(key, mf4::proof_message(*challenge_), *message.signature)) {
      return identity;
    }
  }
  return policy.identity_without_proof(peer_);
}

AuthAttempt Mf4Server::attempt_of(const mf4::AuthMessage& message, bool is_valid) const {
  if (message.public_key) {
    return {.kind = ProofKind::key, .credential = *message.public_key, .is_valid = is_valid};
  }
  if (!message.auth_token || message.auth_token->empty()) {
    return {.kind = ProofKind::endpoint_id, .credential = peer_.bytes(), .is_valid = is_valid};
  }
  AuthAttempt attempt{.kind = ProofKind::token, .credential = {}, .is_valid = is_valid};
  // What has not even the form of a token is no guess at one.
  if (parse_token(*message.auth_token, {})) attempt.credential = as_bytes(*message.auth_token);
  return attempt;
}

void Mf4Server::answer(const mf4::AuthMessage& message,
                       const std::optional<AuthIdentity>& identity) {
  const AuthAttempt attempt = attempt_of(message, identity.has_value());
  const bool is_token = message.version == mf4::kTokenVersion;
  auto refused = refusal_of(config_, attempt, identity, is_token ? kBadToken : kBadProof);
  mf4::append_auth_response(message.version, !refused, refused ? refused->reason : "", output());
  finish_output();
  if (refused) return decide(std::move(*refused));
  decide(Authenticated{.identity = *identity,
                       .session_id = {},
                       .max_flows = config_.max_flows,
                       .dialect = is_token ? Dialect::mf_4_token : Dialect::mf_4});
}

Error Mf4Server::ended_early() const {
  return {ErrorKind::protocol, "the client ended the auth stream before authenticating", {}};
}
Error Mf4Server::timed_out() const {
  return no_authentication_in_time();
}

}  // namespace culvert::session
