// Texts of typed values, as flags, environment and files spell them.
#pragma once

#include "base/result.h"
#include "base/time.h"
#include "settings/table.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::settings {

// "500ms", "30s", "5m", "2h"; a bare number means seconds.
[[nodiscard]] Result<Duration> parse_duration(std::string_view text);
// The text people would write, which parse_duration reads back: "90s", "10m", "250ms".
[[nodiscard]] std::string duration_text(Duration duration);
// true, yes, on, 1 and their opposites, in any case.
[[nodiscard]] Result<bool> parse_flag(std::string_view text);
[[nodiscard]] Result<std::int64_t> parse_number(std::string_view text);
// What separators part, without spaces around; nothing for what is empty.
[[nodiscard]] std::vector<std::string> parts_of(std::string_view text, char separator);
[[nodiscard]] std::vector<std::string_view> choices(const Setting& setting);

// Whether `text` is a value of the setting: type, range, choice. `origin` names it in errors.
[[nodiscard]] Status check_value(const Setting& setting, std::string_view text,
                                 std::string_view origin);

}  // namespace culvert::settings
