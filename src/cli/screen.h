// A text that is drawn again and again in a terminal: as much of it as fits. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace culvert::cli {

struct ScreenSize {
  std::size_t rows = 24;
  std::size_t columns = 80;
};

// Where a viewer is in a text that is longer than the screen.
class Scroll {
 public:
  // What was typed: arrows, Page Up and Down, Home, End, j and k, space and b, g and G. Escape
  // sequences may come in pieces. False: q, or the end of the input.
  [[nodiscard]] bool handle_keys(std::string_view keys);
  // Of `lines` lines on a screen that shows `shown` of them.
  [[nodiscard]] std::size_t first_line(std::size_t lines, std::size_t shown);

 private:
  std::string escape_;  // a sequence that is not complete
  static constexpr std::ptrdiff_t kFarAway = 1'000'000'000;
  std::ptrdiff_t wanted_ = 0;
  std::ptrdiff_t last_ = kFarAway;  // these as it was last drawn
  std::ptrdiff_t page_ = 1;
};

// The lines of `text` that fit, each clipped to the width (our own colours take none), with the
// sequences that draw them over what was there. When not all fit, the last line says which these
// are.
[[nodiscard]] std::string screen_text(std::string_view text, ScreenSize size, Scroll& scroll);

// At most `columns` characters of a line; the colour that it began ends with it.
[[nodiscard]] std::string clipped(std::string_view line, std::size_t columns);

}  // namespace culvert::cli
