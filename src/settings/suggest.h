// The known name nearest to a mistyped one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace culvert::settings {

// The best candidate at an edit distance of at most a third of the length; empty if none.
[[nodiscard]] std::string_view nearest(std::string_view name,
                                       std::span<const std::string_view> candidates);
// " (did you mean NAME?)", or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view name,
                                       std::span<const std::string_view> candidates);

}  // namespace culvert::settings
