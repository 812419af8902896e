// Time as values. A pure module is told what time it is; it can never ask.
//
// `Clock` has no now(): code in a sans-I/O module that wants the time does not
// compile. Drivers (net/, sim/) make Instants.
#pragma once

#include <chrono>

namespace culvert {

// Monotonic time, nanoseconds since an arbitrary origin chosen by the driver.
struct Clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Clock, duration>;
  static constexpr bool is_steady = true;
};

using Duration = Clock::duration;
using Instant = Clock::time_point;

// "No deadline". Compares later than every real instant.
inline constexpr Instant kNever = Instant::max();

[[nodiscard]] constexpr double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace culvert
