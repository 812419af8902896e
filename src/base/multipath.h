// How the flows of a session use its paths (docs/multipath.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace culvert {

enum class Multipath : std::uint8_t {
  fastest,    // one path carries everything, others stand by
  aggregate,  // a flow's bytes are spread over all paths
  redundant,  // a flow's bytes go over two paths, the first to arrive counts
};

[[nodiscard]] constexpr std::string_view to_string(Multipath mode) {
  switch (mode) {
    case Multipath::fastest:
      return "fastest";
    case Multipath::aggregate:
      return "aggregate";
    case Multipath::redundant:
      return "redundant";
  }
  return "fastest";
}

[[nodiscard]] constexpr std::optional<Multipath> multipath_of(std::string_view text) {
  for (const Multipath mode : {Multipath::fastest, Multipath::aggregate, Multipath::redundant}) {
    if (text == to_string(mode)) return mode;
  }
  return std::nullopt;
}

}  // namespace culvert
