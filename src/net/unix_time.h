// The calendar's time, for people and other programs; nothing is scheduled by it.
#pragma once

#include <chrono>

namespace culvert::net {

// Seconds since 1970.
[[nodiscard]] inline double unix_time_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace culvert::net
