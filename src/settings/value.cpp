#include "settings/value.h"

#include "settings/suggest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <ranges>

namespace culvert::settings {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t milliseconds;
};
// Longest name first where one ends with another.
constexpr std::array kUnits{Unit{"ms", 1}, Unit{"s", 1'000}, Unit{"m", 60'000},
                            Unit{"h", 3'600'000}};

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

std::int64_t to_milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

Status check_range(const Setting& setting, std::int64_t value, std::string_view origin) {
  if (value >= setting.minimum && value <= setting.maximum) return {};
  if (value == 0 && !setting.zero.empty()) return {};
  const auto text = [&](std::int64_t bound) {
    return setting.type == Type::duration ? duration_text(std::chrono::milliseconds(bound))
                                          : std::to_string(bound);
  };
  return fail(ErrorKind::configuration,
              fmt::format("{} is out of range: {} to {} is possible{}", text(value),
                          text(setting.minimum), text(setting.maximum),
                          setting.zero.empty() ? "" : fmt::format(", or 0: {}", setting.zero)),
              std::string(origin));
}

Status check_word(const Setting& setting, std::string_view word, std::string_view origin) {
  const auto possible = choices(setting);
  if (std::ranges::find(possible, word) != possible.end()) return {};
  return fail(ErrorKind::configuration,
              fmt::format("'{}' is not possible: {}{}{}", word, fmt::join(possible, ", "),
                          setting.type == Type::choices ? ", with commas between" : "",
                          did_you_mean(word, possible)),
              std::string(origin));
}

}  // namespace

Result<std::int64_t> parse_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return fail(ErrorKind::configuration, fmt::format("'{}' is not a whole number", text));
  }
  return value;
}

Result<Duration> parse_duration(std::string_view text) {
  std::string_view digits = text;
  std::int64_t factor = 1'000;
  for (const Unit& unit : kUnits) {
    if (text.ends_with(unit.name)) {
      digits.remove_suffix(unit.name.size());
      factor = unit.milliseconds;
      break;
    }
  }
  const auto number = parse_number(digits);
  constexpr std::int64_t kMax =
      std::numeric_limits<std::int64_t>::max() / 1'000'000;  // Duration counts nanoseconds
  if (!number || *number < 0 || *number > kMax / factor) {
    return fail(ErrorKind::configuration,
                fmt::format("'{}' is not a time: write 500ms, 30s, 5m or 2h", text));
  }
  return std::chrono::milliseconds(*number * factor);
}

std::string duration_text(Duration duration) {
  const std::int64_t ms = to_milliseconds(duration);
  // 90s reads better than 90000ms, 60s better than 1m: people compare timeouts in seconds.
  if (ms % 1'000 != 0) return fmt::format("{}ms", ms);
  if (ms >= 600'000 && ms % 3'600'000 == 0) return fmt::format("{}h", ms / 3'600'000);
  if (ms >= 600'000 && ms % 60'000 == 0) return fmt::format("{}m", ms / 60'000);
  return fmt::format("{}s", ms / 1'000);
}

Result<bool> parse_flag(std::string_view text) {
  const std::string lower = lower_case(text);
  if (lower == "true" || lower == "yes" || lower == "on" || lower == "1") return true;
  if (lower == "false" || lower == "no" || lower == "off" || lower == "0") return false;
  return fail(ErrorKind::configuration, fmt::format("'{}' is neither true nor false", text));
}

std::vector<std::string> parts_of(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    std::string_view part = text.substr(0, end);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::vector<std::string_view> choices(const Setting& setting) {
  std::vector<std::string_view> result;
  if (setting.type != Type::choice && setting.type != Type::choices) return result;
  std::string_view rest = setting.placeholder;
  while (true) {
    const auto bar = rest.find('|');
    result.push_back(rest.substr(0, bar));
    if (bar == std::string_view::npos) return result;
    rest.remove_prefix(bar + 1);
  }
}

Status check_value(const Setting& setting, std::string_view text, std::string_view origin) {
  const auto named = [&](Error error) {
    error.offender = origin;
    return std::unexpected(std::move(error));
  };
  switch (setting.type) {
    case Type::flag:
      if (auto flag = parse_flag(text); !flag) return named(std::move(flag).error());
      return {};
    case Type::counter:
    case Type::size:
    case Type::number: {
      auto number = parse_number(text);
      if (!number) return named(std::move(number).error());
      return setting.type == Type::counter ? Status{} : check_range(setting, *number, origin);
    }
    case Type::duration: {
      auto duration = parse_duration(text);
      if (!duration) return named(std::move(duration).error());
      return check_range(setting, to_milliseconds(*duration), origin);
    }
    case Type::choice:
      return check_word(setting, text, origin);
    case Type::choices:
      for (const auto part : std::views::split(text, ',')) {
        CULVERT_CHECK(check_word(setting, std::string_view(part.begin(), part.end()), origin));
      }
      return {};
    case Type::text:
      if (text.empty() || text.find('\0') != std::string_view::npos) {
        return fail(ErrorKind::configuration, "needs a value", std::string(origin));
      }
      return {};
  }
  return {};
}

}  // namespace culvert::settings
