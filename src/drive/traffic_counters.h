// Bytes of streams, summed over all flows of a role or of a tunnel.
#pragma once

#include <cstdint>

namespace culvert::drive {

struct TrafficCounters {
  std::uint64_t to_stream = 0;
  std::uint64_t from_stream = 0;
};

}  // namespace culvert::drive
