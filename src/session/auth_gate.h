// Who judges attempts to authenticate, apart from whether the proof is good: the seam
// between the handshakes and the limits on failures (auth_limiter.h).
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "base/time.h"
#include "session/auth_policy.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace culvert::session {

// One proof, after it was verified.
struct AuthAttempt {
  ProofKind kind = ProofKind::nothing;
  // Tells this credential from others: the token itself in mf/4, the public key of a key
  // proof, otherwise the client's EndpointId. Empty: nothing that could be a credential
  // (a malformed token). Valid during the call.
  ByteView credential;
  std::optional<IpAddress> address;  // where it came from, if known
  bool is_valid = false;
};

enum class AuthDecision : std::uint8_t {
  accepted,
  invalid,            // a wrong proof, counted
  credential_locked,  // a wrong proof after too many others: not counted, not looked at
  address_locked,
  globally_locked,
};
[[nodiscard]] constexpr std::string_view to_string(AuthDecision decision) {
  switch (decision) {
    case AuthDecision::accepted:
      return "accepted";
    case AuthDecision::invalid:
      return "invalid";
    case AuthDecision::credential_locked:
      return "credential locked";
    case AuthDecision::address_locked:
      return "address locked";
    case AuthDecision::globally_locked:
      return "all failures locked";
  }
  return "unknown";
}

struct AuthVerdict {
  AuthDecision decision = AuthDecision::invalid;
  std::uint32_t retry_after_s = 0;  // until every lock that applies has ended
  bool is_worth_logging = true;     // false: one of many alike

  [[nodiscard]] bool is_rate_limited() const {
    return decision != AuthDecision::accepted && decision != AuthDecision::invalid;
  }
};

class AuthGate {
 public:
  virtual ~AuthGate() = default;
  [[nodiscard]] virtual AuthVerdict judge(Instant now, const AuthAttempt& attempt) = 0;
};

// What a client reads whose attempt was rate limited; tunnel-rs's words.
inline constexpr std::string_view kTooManyFailures = "Too many failed attempts, try again later";

}  // namespace culvert::session
