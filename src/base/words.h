// Words for the values of an enumeration, beside it and said once: settings, JSON and texts are
// read and written by them.
//
//   enum class Colour : std::uint8_t { red, green };
//   template <>
//   inline constexpr std::array<std::string_view, 2> kWords<Colour>{"red", "green"};
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace culvert {

// In the order of the values, which count from 0.
template <typename Enum>
inline constexpr std::array<std::string_view, 0> kWords{};

template <typename Enum>
concept HasWords = !kWords<Enum>.empty();

template <HasWords Enum>
[[nodiscard]] constexpr std::string_view word_of(Enum value) {
  const auto index = static_cast<std::size_t>(std::to_underlying(value));
  return index < kWords<Enum>.size() ? kWords<Enum>[index] : std::string_view{};
}

template <HasWords Enum>
[[nodiscard]] constexpr std::optional<Enum> value_of(std::string_view word) {
  const auto found = std::ranges::find(kWords<Enum>, word);
  if (found == kWords<Enum>.end()) return std::nullopt;
  return static_cast<Enum>(found - kWords<Enum>.begin());
}

}  // namespace culvert
