#include "base/printable.h"

#include <cstdint>

namespace culvert {
namespace {

struct Character {
  std::size_t bytes = 1;
  bool is_valid = false;
  std::uint32_t code = 0;
};

// Unicode 3.9, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF.
Character first_character(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return {1, true, lead};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  std::uint32_t code = lead & (0xffU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  const bool is_overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool is_surrogate = code >= 0xd800 && code < 0xe000;
  if (is_overlong || is_surrogate || code > 0x10ffff) return {};
  return {bytes, true, code};
}

bool steers_a_terminal(std::uint32_t code) {
  const auto is_within = [code](std::uint32_t from, std::uint32_t to) {
    return code >= from && code <= to;
  };
  return code < 0x20 || is_within(0x7f, 0x9f) || code == 0x061c || is_within(0x200e, 0x200f) ||
         is_within(0x2028, 0x202e) || is_within(0x2066, 0x2069);
}

}  // namespace

std::size_t unprintable_prefix(std::string_view text) {
  const Character first = first_character(text);
  return first.is_valid && !steers_a_terminal(first.code) ? 0 : first.bytes;
}

std::size_t character_bytes(std::string_view text) {
  return first_character(text).bytes;
}

bool is_printable(std::string_view text) {
  while (!text.empty()) {
    if (unprintable_prefix(text) > 0) return false;
    text.remove_prefix(character_bytes(text));
  }
  return true;
}

std::string printable(std::string_view text, char replacement) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    if (unprintable_prefix(text) > 0) {
      out += replacement;
    } else {
      out += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return out;
}

}  // namespace culvert
