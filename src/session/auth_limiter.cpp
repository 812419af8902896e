#include "session/auth_limiter.h"

#include <algorithm>

namespace culvert::session {
namespace {

constexpr std::size_t kSiteBytes = 6;  // of an IPv6 address: RFC 6177's largest usual site

std::uint32_t seconds_until(Instant end, Instant now) {
  return static_cast<std::uint32_t>(std::chrono::ceil<std::chrono::seconds>(end - now).count());
}

}  // namespace

AuthLimiter::AuthLimiter(const AuthLimits& limits, Rng& rng)
    : limits_(limits), sampler_(limits.log_sample_interval) {
  rng.fill(hash_key_);
}

AuthLimiter::Keys AuthLimiter::keys_of(const AuthAttempt& attempt) const {
  // The kind tells a client's EndpointId from an equal public key in a proof.
  crypto::SipKey key = hash_key_;
  key[0] ^= static_cast<std::uint8_t>(attempt.kind);
  Keys keys{.credential = crypto::siphash(key, attempt.credential)};
  if (attempt.address) {
    const IpAddress network = attempt.address->source_network();
    keys.address = crypto::siphash(hash_key_, network.bytes());
    // Link-local addresses are of no site.
    if (network.is_v6() && !network.is_link_local()) {
      keys.site = crypto::siphash(hash_key_, network.bytes().first(kSiteBytes));
    }
  }
  return keys;
}

AuthVerdict AuthLimiter::judge(Instant now, const AuthAttempt& attempt) {
  now_ = std::max(now_, now);
  const Keys keys = keys_of(attempt);
  if (attempt.is_valid) {
    ++counters_.accepted;
    credentials_.forget(keys.credential);  // whoever mistyped it before
    return {.decision = AuthDecision::accepted};
  }

  const Instant credential_end =
      attempt.credential.empty() ? Instant{} : credentials_.locked_until(keys.credential);
  Instant address_end = attempt.address ? addresses_.locked_until(keys.address) : Instant{};
  if (keys.site) address_end = std::max(address_end, sites_.locked_until(*keys.site));
  const Instant end = std::max({credential_end, address_end, globally_locked_until_});
  if (end <= now_) {
    ++counters_.rejected_invalid;
    count_failure(attempt, keys);
    return {.decision = AuthDecision::invalid};
  }
  ++counters_.rejected_rate_limited;
  return {.decision = credential_end > now_ ? AuthDecision::credential_locked
                      : address_end > now_  ? AuthDecision::address_locked
                                            : AuthDecision::globally_locked,
          .retry_after_s = seconds_until(end, now_),
          .is_worth_logging = sampler_.admits(now_)};
}

void AuthLimiter::count_failure(const AuthAttempt& attempt, const Keys& keys) {
  if (attempt.address &&
      addresses_.add_failure(now_, keys.address, limits_.max_address_failures, limits_.lockout)) {
    ++counters_.address_lockouts;
  }
  if (keys.site &&
      sites_.add_failure(now_, *keys.site, limits_.max_address_failures * limits::kSiteAddresses,
                         limits_.lockout)) {
    ++counters_.address_lockouts;
  }
  if (attempt.credential.empty()) return;
  if (credentials_.add_failure(now_, keys.credential, limits_.max_credential_failures,
                               limits_.lockout)) {
    ++counters_.credential_lockouts;
  }
  if (limits_.global_failures > 0) count_globally(keys.credential);
}

void AuthLimiter::count_globally(std::uint64_t credential) {
  std::erase_if(recent_, [&](const Failure& failure) {
    return failure.credential == credential || now_ - failure.at >= limits_.global_window;
  });
  recent_.push_back({credential, now_});
  if (recent_.size() < limits_.global_failures) return;
  recent_.clear();
  globally_locked_until_ = now_ + limits_.global_lockout;
  ++counters_.global_lockouts;
}

void AuthLimiter::set_limits(const AuthLimits& limits) {
  limits_ = limits;
  if (limits_.global_failures == 0) recent_.clear();
}

AuthMetrics AuthLimiter::metrics(Instant now) const {
  AuthMetrics metrics = counters_;
  metrics.forgotten = credentials_.evicted() + addresses_.evicted() + sites_.evicted();
  metrics.credentials_tracked = credentials_.size();
  metrics.addresses_tracked = addresses_.size();
  metrics.credentials_locked = credentials_.locked_count(now);
  metrics.addresses_locked = addresses_.locked_count(now) + sites_.locked_count(now);
  metrics.global_lockout_remaining = std::max(globally_locked_until_ - now, Duration{});
  return metrics;
}

}  // namespace culvert::session
