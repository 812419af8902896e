// What one acknowledgement tells a congestion controller (draft-ietf-ccwg-bbr 4.1). All counts are
// bytes.
#pragma once

#include "base/time.h"

#include <cstdint>

namespace culvert::congestion {

struct Ack {
  std::uint64_t delivered = 0;        // since the connection began
  std::uint64_t prior_delivered = 0;  // when the newest packet of it was sent
  Duration interval{};                // for their difference; zero: not known
  bool is_app_limited = false;        // there was not always something to send
  Duration rtt{};                     // zero: no sample
  std::uint64_t acked = 0;
  std::uint64_t in_flight = 0;  // now
};

}  // namespace culvert::congestion
