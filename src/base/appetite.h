// How much to ask for at a time, of a source that gives little or much: to have room ready for much
// costs more than the little that comes. It grows at once where all that was asked for came, and
// shrinks slowly; that nothing is there says nothing. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace culvert {

template <std::uint32_t least, std::uint32_t most>
class Appetite {
 public:
  [[nodiscard]] std::size_t wanted() const { return wanted_; }
  // `asked` is wanted(), or less where there was less room.
  void on_got(std::size_t asked, std::size_t got) {
    if (got >= asked) {
      wanted_ = std::min(wanted_ * kGrowth, most);
    } else if (got != 0 && got < wanted_ / kGrowth) {
      wanted_ = std::max(wanted_ / 2, least);
    }
  }

 private:
  static constexpr std::uint32_t kGrowth = 4;
  static_assert(0 < least && least <= most && most <= UINT32_MAX / kGrowth);
  std::uint32_t wanted_ = least;
};

}  // namespace culvert
