// Limits on failed authentication (docs/decisions/0009-limits-on-failed-authentication.md).
// A valid proof always passes, also in the middle of an attack. A wrong one is answered, in
// this order:
//   1. its credential failed too often:   "try again later"
//   2. its address, or the IPv6 site around it, failed too often: "try again later"
//   3. too many credentials failed:       "try again later"
//   4. otherwise it is "invalid", and counted for all three
// What is rate limited is not counted, so no lock is prolonged by trying. Only keyed hashes
// of credentials and addresses are kept, in tables of fixed size.
#pragma once

#include "base/limits.h"
#include "base/log_sampler.h"
#include "base/rng.h"
#include "crypto/siphash.h"
#include "session/auth_gate.h"
#include "session/failure_table.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace culvert::session {

struct AuthLimits {
  std::uint32_t max_credential_failures = limits::kMaxTokenAuthFailures;  // 0: no such limit
  std::uint32_t max_address_failures = limits::kMaxAddressAuthFailures;   // 0: no such limit
  Duration lockout = limits::kTokenLockout;                               // of both
  std::uint32_t global_failures = limits::kGlobalAuthFailures;  // distinct; 0: no such limit
  Duration global_window = limits::kGlobalAuthFailureWindow;
  Duration global_lockout = limits::kGlobalAuthLockout;
  std::uint32_t log_sample_interval = limits::kLockoutLogSample;  // 0: only the first
};

struct AuthMetrics {
  // Counters.
  std::uint64_t accepted = 0;
  std::uint64_t rejected_invalid = 0;
  std::uint64_t rejected_rate_limited = 0;
  std::uint64_t credential_lockouts = 0;
  std::uint64_t address_lockouts = 0;
  std::uint64_t global_lockouts = 0;
  std::uint64_t forgotten = 0;  // entries that gave way to newer ones
  // Gauges.
  std::uint64_t credentials_tracked = 0;
  std::uint64_t addresses_tracked = 0;
  std::uint64_t credentials_locked = 0;
  std::uint64_t addresses_locked = 0;
  Duration global_lockout_remaining{};  // 0: none
};

// Not for several threads: who shares it guards it. A `now` older than the last one (of
// another worker) counts as the last one.
class AuthLimiter final : public AuthGate {
 public:
  AuthLimiter(const AuthLimits& limits, Rng& rng);

  [[nodiscard]] AuthVerdict judge(Instant now, const AuthAttempt& attempt) override;
  [[nodiscard]] AuthMetrics metrics(Instant now) const;
  // From now on; what is locked stays so for its time. The log's sampling stays as it was.
  void set_limits(const AuthLimits& limits);

 private:
  struct Keys {
    std::uint64_t credential = 0;
    std::uint64_t address = 0;
    std::optional<std::uint64_t> site;  // the /48 of an IPv6 address
  };
  struct Failure {
    std::uint64_t credential;
    Instant at;
  };

  [[nodiscard]] Keys keys_of(const AuthAttempt& attempt) const;
  void count_failure(const AuthAttempt& attempt, const Keys& keys);
  void count_globally(std::uint64_t credential);

  AuthLimits limits_;
  crypto::SipKey hash_key_{};
  Instant now_{};
  FailureTable credentials_{limits::kAuthFailureEntries};
  FailureTable addresses_{limits::kAuthFailureEntries};
  FailureTable sites_{limits::kAuthFailureEntries};
  // The last failure of each credential that failed within the window: fewer than
  // limits_.global_failures.
  std::vector<Failure> recent_;
  Instant globally_locked_until_{};
  LogSampler sampler_;
  AuthMetrics counters_;
};

}  // namespace culvert::session
