// Values that must not reach a log, a crash message or a command line, and that leave nothing
// in memory when they are gone.
#pragma once

#include <fmt/format.h>

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <string.h>

namespace culvert {

// Zeroes what `value` holds; the compiler may not leave it out because nobody reads it.
template <typename T>
  requires(std::is_trivially_copyable_v<T>)
void wipe(T& value) {
  ::explicit_bzero(&value, sizeof value);
}
template <typename Character, typename Traits, typename Allocator>
void wipe(std::basic_string<Character, Traits, Allocator>& value) {
  value.resize(value.capacity());  // also what a longer text left behind the end
  ::explicit_bzero(value.data(), value.size() * sizeof(Character));
  value.clear();
}

template <typename Element, typename Allocator>
void wipe(std::vector<Element, Allocator>& value) {
  value.resize(value.capacity());
  if (!value.empty()) ::explicit_bzero(value.data(), value.size() * sizeof(Element));
  value.clear();
}

// Wipes a value at the end of its scope: a file's text, on its way to a Secret.
template <typename T>
class WipedAtEnd {
 public:
  explicit WipedAtEnd(T& value) : value_(value) {}
  ~WipedAtEnd() { wipe(value_); }
  WipedAtEnd(const WipedAtEnd&) = delete;
  WipedAtEnd& operator=(const WipedAtEnd&) = delete;

 private:
  T& value_;
};

// Holds T; prints as "<redacted>". reveal() marks each place that really needs it. Wiped at its
// end, and where it was moved from.
template <typename T>
class Secret {
 public:
  Secret() = default;
  explicit Secret(T value) : value_(std::move(value)) { wipe(value); }
  ~Secret() { wipe(value_); }
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { wipe(other.value_); }
  Secret& operator=(const Secret& other) {
    if (this == &other) return *this;
    wipe(value_);  // a longer text makes room elsewhere
    value_ = other.value_;
    return *this;
  }
  Secret& operator=(Secret&& other) noexcept {
    if (this == &other) return *this;
    wipe(value_);
    value_ = std::move(other.value_);
    wipe(other.value_);
    return *this;
  }
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
