// One AuthLimiter for all workers of a server: an attacker's connections are spread over
// them, so limits of each alone would be as many times too high. Asked once a connection,
// for well under a microsecond: a lock costs nothing there.
#pragma once

#include "session/auth_limiter.h"

#include <mutex>

namespace culvert::app {

class SharedAuthLimiter final : public session::AuthGate {
 public:
  SharedAuthLimiter(const session::AuthLimits& limits, Rng& rng) : limiter_(limits, rng) {}

  [[nodiscard]] session::AuthVerdict judge(Instant now,
                                           const session::AuthAttempt& attempt) override {
    const std::scoped_lock lock(mutex_);
    return limiter_.judge(now, attempt);
  }
  [[nodiscard]] session::AuthMetrics metrics(Instant now) const {
    const std::scoped_lock lock(mutex_);
    return limiter_.metrics(now);
  }
  void set_limits(const session::AuthLimits& limits) {
    const std::scoped_lock lock(mutex_);
    limiter_.set_limits(limits);
  }

 private:
  mutable std::mutex mutex_;
  session::AuthLimiter limiter_;
};

}  // namespace culvert::app
