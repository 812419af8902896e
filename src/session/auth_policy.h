// Who may use a server, and what a client shows to be let in.
#pragma once

#include "crypto/key_file.h"
#include "crypto/keys.h"
#include "session/token.h"

#include <map>
#include <optional>
#include <string>

namespace culvert::session {

// How a client proved itself, for logs: never holds the secret.
enum class ProofKind : std::uint8_t { token = 1, key = 2, endpoint_id = 3, nothing = 4 };

struct AuthIdentity {
  ProofKind kind = ProofKind::nothing;
  std::string comment;  // of the authorized key or EndpointId, may be empty
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
};

// What is tried, in this order: the key, the token, then the client's own EndpointId.
struct ClientCredentials {
  std::optional<Token> token;
  std::optional<crypto::SecretKey> key;
};

}  // namespace culvert::session
