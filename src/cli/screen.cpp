#include "cli/screen.h"

#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

namespace culvert::cli {
namespace {

constexpr char kEscape = '\x1b';
constexpr std::string_view kHome = "\x1b[H";
// Home, lines that erase what was right of them, and at the end the rest: without a blank moment.
constexpr std::string_view kEraseLine = "\x1b[K";
constexpr std::string_view kEraseBelow = "\x1b[J";
constexpr std::string_view kNoColour = "\x1b[0m";

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// Length of "\x1b[...m" at the beginning; 0: none.
std::size_t colour_bytes(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  const std::size_t end = text.find('m');
  return end == std::string_view::npos ? 0 : end + 1;
}

enum class Move : std::uint8_t { up, down, page_up, page_down, home, end };

struct KeySequence {
  std::string_view sequence;
  Move move;
};
constexpr std::array kKeys{
    KeySequence{"\x1b[A", Move::up},
    KeySequence{"\x1bOA", Move::up},
    KeySequence{"k", Move::up},
    KeySequence{"\x1b[B", Move::down},
    KeySequence{"\x1bOB", Move::down},
    KeySequence{"j", Move::down},
    KeySequence{"\x1b[5~", Move::page_up},
    KeySequence{"b", Move::page_up},
    KeySequence{"\x1b[6~", Move::page_down},
    KeySequence{" ", Move::page_down},
    KeySequence{"\x1b[H", Move::home},
    KeySequence{"\x1bOH", Move::home},
    KeySequence{"\x1b[1~", Move::home},
    KeySequence{"g", Move::home},
    KeySequence{"\x1b[F", Move::end},
    KeySequence{"\x1bOF", Move::end},
    KeySequence{"\x1b[4~", Move::end},
    KeySequence{"G", Move::end},
};

}  // namespace

bool Scroll::handle_keys(std::string_view keys) {
  constexpr std::size_t kLongest = 8;  // sequence that could still become one of ours
  for (const char key : keys) {
    if (escape_.empty() && (key == 'q' || key == 'Q' || key == 4)) return false;
    escape_ += key;
    const auto found = std::ranges::find(kKeys, escape_, &KeySequence::sequence);
    if (found == kKeys.end()) {
      const std::size_t size = escape_.size();
      const bool goes_on = size == 1   ? key == kEscape
                           : size == 2 ? key == '[' || key == 'O'
                                       : (key >= '0' && key <= '9') || key == ';';
      const bool is_begun = goes_on && size < kLongest;
      if (!is_begun) escape_.clear();
      continue;
    }
    escape_.clear();
    switch (found->move) {
      case Move::up:
        --wanted_;
        break;
      case Move::down:
        ++wanted_;
        break;
      case Move::page_up:
        wanted_ -= page_;
        break;
      case Move::page_down:
        wanted_ += page_;
        break;
      case Move::home:
        wanted_ = 0;
        break;
      case Move::end:
        wanted_ = kFarAway;
        break;
    }
    wanted_ = std::clamp<std::ptrdiff_t>(wanted_, 0, last_);
  }
  return true;
}

std::size_t Scroll::first_line(std::size_t lines, std::size_t shown) {
  last_ = static_cast<std::ptrdiff_t>(lines > shown ? lines - shown : 0);
  page_ = std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(shown) - 1, 1);
  wanted_ = std::clamp<std::ptrdiff_t>(wanted_, 0, last_);
  return static_cast<std::size_t>(wanted_);
}

std::string clipped(std::string_view line, std::size_t columns) {
  std::string result;
  bool is_coloured = false;
  std::size_t used = 0;
  while (!line.empty()) {
    if (const std::size_t bytes = colour_bytes(line); bytes > 0) {
      is_coloured = line.substr(0, bytes) != kNoColour;
      result += line.substr(0, bytes);
      line.remove_prefix(bytes);
      continue;
    }
    if (used == columns) break;
    const std::size_t bytes = character_bytes(line);
    result += line.substr(0, bytes);
    line.remove_prefix(bytes);
    ++used;
  }
  if (is_coloured) result += kNoColour;
  return result;
}

std::string screen_text(std::string_view text, ScreenSize size, Scroll& scroll) {
  const std::vector<std::string_view> lines = lines_of(text);
  const std::size_t rows = std::max<std::size_t>(size.rows, 1);
  const bool fits = lines.size() <= rows;
  const std::size_t shown = fits ? lines.size() : std::max<std::size_t>(rows - 1, 1);
  const std::size_t first = scroll.first_line(lines.size(), shown);
  std::string drawn(kHome);
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) drawn += '\n';
    drawn += clipped(lines[first + i], size.columns);
    drawn += kEraseLine;
  }
  if (!fits && rows > 1) {
    drawn +=
        '\n' + clipped(fmt::format("lines {} to {} of {}; arrows and Page Up/Down scroll, q ends",
                                   first + 1, first + shown, lines.size()),
                       size.columns);
    drawn += kEraseLine;
  }
  return drawn + std::string(kEraseBelow);
}

}  // namespace culvert::cli
