// Text that peers, files and users chose, made fit for a terminal. What a terminal may act
// upon is no part of a word: C0 and C1 control characters (escape sequences begin with either),
// line and paragraph separators, and the marks that turn the direction of what follows.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace culvert {

// How many bytes at the beginning of `text`, which is not empty, are one such character or no
// UTF-8; 0: it begins with a printable character.
[[nodiscard]] std::size_t unprintable_prefix(std::string_view text);
// How many bytes the first character takes; at least 1, also where it is no UTF-8.
[[nodiscard]] std::size_t character_bytes(std::string_view text);

[[nodiscard]] bool is_printable(std::string_view text);
// With `replacement` for each of them.
[[nodiscard]] std::string printable(std::string_view text, char replacement = '?');

}  // namespace culvert
