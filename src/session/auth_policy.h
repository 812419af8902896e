// Who may use a server, and what a client shows to be let in.
#pragma once

#include "crypto/key_file.h"
#include "crypto/keys.h"
#include "crypto/mac.h"
#include "session/token.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::session {

// How a client proved itself, for logs: never holds the secret.
enum class ProofKind : std::uint8_t { token = 1, key = 2, endpoint_id = 3, nothing = 4 };
[[nodiscard]] std::string_view to_string(ProofKind kind);  // "token", for people

// Which credential it was: the SHA-256 of a token (256 random bits: nobody finds them by
// trying), the public key, or the EndpointId itself.
using CredentialId = crypto::Digest;
[[nodiscard]] CredentialId credential_id(std::string_view token);
[[nodiscard]] CredentialId credential_id(const crypto::PublicKey& key);

struct AuthIdentity {
  ProofKind kind = ProofKind::nothing;
  std::string comment;        // of the authorized key or EndpointId, may be empty
  CredentialId credential{};  // zero for ProofKind::nothing
};

// Any one configured kind of proof suffices.
struct ServerAuthPolicy {
  TokenSet tokens;
  crypto::AuthorizedKeys keys;
  std::map<crypto::EndpointId, std::string> endpoint_ids;  // with comments
  bool allows_anyone = false;                              // only by an explicit flag

  [[nodiscard]] bool is_empty() const {
    return tokens.is_empty() && keys.is_empty() && endpoint_ids.empty() && !allows_anyone;
  }
  // Whom a signature of `message` proves: the owner of `key`, if that is an authorized one.
  [[nodiscard]] std::optional<AuthIdentity> identity_of(const crypto::PublicKey& key,
                                                        ByteView message, ByteView signature) const;
  // Who is let in for the EndpointId of his connection, or as anyone.
  [[nodiscard]] std::optional<AuthIdentity> identity_without_proof(
      const crypto::EndpointId& peer) const;
};

// Whether clients that were let in earlier still may be, by another policy than they met.
// Made once for many questions. The policy outlives it.
class CredentialCheck {
 public:
  explicit CredentialCheck(const ServerAuthPolicy& policy);
  [[nodiscard]] bool lets_in(const AuthIdentity& identity) const;

 private:
  const ServerAuthPolicy& policy_;
  std::vector<CredentialId> tokens_;  // sorted
};

// What is tried, in this order: the key, the token, then the client's own EndpointId.
struct ClientCredentials {
  std::optional<Token> token;
  std::optional<crypto::SecretKey> key;
};
// Whether they prove the same. Not for strangers' bytes: time tells how much is alike.
[[nodiscard]] bool are_same(const ClientCredentials& a, const ClientCredentials& b);

}  // namespace culvert::session
