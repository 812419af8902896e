// Keeps a warning that repeats from filling the log: the first is written, then every Nth,
// and the first again after limits::kLogSampleQuiet without one. Who counts them keeps a
// metric beside it.
#pragma once

#include "base/limits.h"
#include "base/time.h"

#include <cstdint>

namespace culvert {

class LogSampler {
 public:
  // `interval` 0: only the first.
  explicit LogSampler(std::uint32_t interval = limits::kLockoutLogSample) : interval_(interval) {}

  // One more of these warnings: shall it be written?
  [[nodiscard]] bool admits(Instant now) {
    if (seen_ > 0 && now - last_ >= limits::kLogSampleQuiet) seen_ = 0;
    last_ = now;
    ++seen_;
    return seen_ == 1 || (interval_ > 0 && seen_ % interval_ == 0);
  }

 private:
  std::uint32_t interval_;
  std::uint64_t seen_ = 0;
  Instant last_{};
};

}  // namespace culvert
