#include "session/auth_policy.h"

#include "base/bytes.h"

#include <algorithm>

namespace culvert::session {

std::string_view to_string(ProofKind kind) {
  switch (kind) {
    case ProofKind::token:
      return "token";
    case ProofKind::key:
      return "key";
    case ProofKind::endpoint_id:
      return "EndpointId";
    case ProofKind::nothing:
      break;
  }
  return "nothing";
}

CredentialId credential_id(std::string_view token) {
  return crypto::sha256(as_bytes(token));
}

CredentialId credential_id(const crypto::PublicKey& key) {
  CredentialId id{};
  std::ranges::copy(key.bytes(), id.begin());
  return id;
}

std::optional<AuthIdentity> ServerAuthPolicy::identity_of(const crypto::PublicKey& key,
                                                          ByteView message,
                                                          ByteView signature) const {
  const auto comment = keys.lookup(key);
  if (!comment || !key.verify(message, signature)) return std::nullopt;
  return AuthIdentity{
      .kind = ProofKind::key, .comment = *comment, .credential = credential_id(key)};
}

std::optional<AuthIdentity> ServerAuthPolicy::identity_without_proof(
    const crypto::EndpointId& peer) const {
  if (const auto known = endpoint_ids.find(peer); known != endpoint_ids.end()) {
    return AuthIdentity{.kind = ProofKind::endpoint_id,
                        .comment = known->second,
                        .credential = credential_id(peer)};
  }
  return allows_anyone ? std::optional(AuthIdentity{}) : std::nullopt;
}

CredentialCheck::CredentialCheck(const ServerAuthPolicy& policy) : policy_(policy) {
  tokens_.reserve(policy.tokens.size());
  for (const Token& token : policy.tokens.tokens()) {
    tokens_.push_back(credential_id(std::string_view(token.reveal())));
  }
  std::ranges::sort(tokens_);
}

bool CredentialCheck::lets_in(const AuthIdentity& identity) const {
  if (policy_.allows_anyone) return true;
  switch (identity.kind) {
    case ProofKind::token:
      return std::ranges::binary_search(tokens_, identity.credential);
    case ProofKind::key:
      return policy_.keys.lookup(crypto::PublicKey(identity.credential)).has_value();
    case ProofKind::endpoint_id:
      return policy_.endpoint_ids.contains(crypto::PublicKey(identity.credential));
    case ProofKind::nothing:
      break;
  }
  return false;
}

bool are_same(const ClientCredentials& a, const ClientCredentials& b) {
  if (a.token.has_value() != b.token.has_value() || a.key.has_value() != b.key.has_value()) {
    return false;
  }
  return (!a.token || a.token->reveal() == b.token->reveal()) &&
         (!a.key || a.key->public_key() == b.key->public_key());
}

}  // namespace culvert::session
