// Values that must not reach a log, a crash message or a command line.
#pragma once

#include <fmt/format.h>

#include <utility>

namespace culvert {

// Holds T; prints as "<redacted>". reveal() marks each place that really needs it.
template <typename T>
class Secret {
 public:
  Secret() = default;
  explicit Secret(T value) : value_(std::move(value)) {}
  [[nodiscard]] const T& reveal() const { return value_; }

 private:
  T value_{};
};

}  // namespace culvert

template <typename T>
struct fmt::formatter<culvert::Secret<T>> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }
  auto format(const culvert::Secret<T>&, fmt::format_context& context) const {
    return fmt::format_to(context.out(), "<redacted>");
  }
};
