// How the flows of a session use its paths (docs/multipath.md).
#pragma once

#include "base/words.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace culvert {

enum class Multipath : std::uint8_t {
  fastest,    // one path carries everything, others stand by
  aggregate,  // a flow's bytes are spread over all paths
  redundant,  // a flow's bytes go over two paths, the first to arrive counts
};

template <>
inline constexpr std::array<std::string_view, 3> kWords<Multipath>{"fastest", "aggregate",
                                                                   "redundant"};

}  // namespace culvert
