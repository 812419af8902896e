// Small values: errors, randomness, secrets, log lines.
#include "base/log.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/secret.h"
#include "base/trimmed.h"
#include "base/words.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace culvert {
namespace {

Result<int> half_of(int value) {
  if (value % 2 != 0) return fail(ErrorKind::configuration, "is odd", std::to_string(value));
  return value / 2;
}
Result<std::string> quarter_of(int value) {
  CULVERT_TRY(const int half, half_of(value));
  CULVERT_TRY(const int quarter, half_of(half));
  return std::to_string(quarter);
}

TEST(Result, hands_values_and_errors_through) {
  EXPECT_EQ(quarter_of(8), "2");
  const auto failed = quarter_of(6);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().text(), "3: is odd");
  EXPECT_EQ(Error(failed.error()).in("halving").text(), "3: halving: is odd");
  EXPECT_EQ((Error{ErrorKind::io, "alone", {}}).text(), "alone");
}

TEST(Trimmed, leaves_out_what_is_around_words) {
  EXPECT_EQ(trimmed(" \ta b\r\n"), "a b");
  EXPECT_EQ(trimmed("a"), "a");
  EXPECT_EQ(trimmed(" \t\r\n"), "");
  EXPECT_EQ(trimmed(""), "");
}

TEST(SeededRng, repeats_itself_and_splits_apart) {
  SeededRng a(7);
  SeededRng b(7);
  SeededRng other(8);
  const std::uint64_t first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, other.next());
  // A split depends on the seed and the label, not on what was drawn before.
  EXPECT_EQ(SeededRng(7).split(1).next(), a.split(1).next());
  EXPECT_NE(a.split(1).next(), a.split(2).next());
}

TEST(Rng, draws_uniformly_below_a_bound) {
  SeededRng rng(3);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60'000; ++i) {
    const std::uint64_t value = rng.below(6);
    ASSERT_LT(value, 6U);
    ++counts[value];
    const double unit = rng.unit();
    ASSERT_TRUE(unit >= 0 && unit < 1);
  }
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
}

TEST(Secret, prints_as_redacted) {
  EXPECT_EQ(fmt::format("token={}", Secret<std::string>("hunter2")), "token=<redacted>");
}

// What lies where an object was.
template <typename T>
class Grave {
 public:
  template <typename... Arguments>
  T& build(Arguments&&... arguments) {
    return *new (storage_) T(std::forward<Arguments>(arguments)...);
  }
  [[nodiscard]] std::string bytes() const {
    return {reinterpret_cast<const char*>(storage_), sizeof storage_};
  }

 private:
  alignas(T) unsigned char storage_[sizeof(T)] = {};
};

TEST(Secret, leaves_nothing_where_it_was_destroyed_moved_from_or_overwritten) {
  using Text = Secret<std::string>;
  const std::string words = "hunter-2 short";  // fits into the string object itself
  Grave<Text> first;
  Grave<Text> second;
  Text& a = first.build(words);
  Text& b = second.build(std::move(a));
  EXPECT_EQ(first.bytes().find("hunter"), std::string::npos);
  EXPECT_EQ(b.reveal(), words);
  a = b;
  EXPECT_EQ(a.reveal(), words);
  b = Text("x");
  EXPECT_EQ(second.bytes().find("hunter"), std::string::npos);
  b = std::move(a);
  EXPECT_EQ(first.bytes().find("hunter"), std::string::npos);
  b.~Text();
  EXPECT_EQ(second.bytes().find("hunter"), std::string::npos);
  a.~Text();  // NOLINT(bugprone-use-after-move): a moved-from object is destroyed, too

  using Key = Secret<std::array<char, 32>>;
  Grave<Key> key;
  std::array<char, 32> bytes{};
  bytes.fill('k');
  key.build(bytes).~Key();
  EXPECT_EQ(key.bytes().find('k'), std::string::npos);
}

TEST(Secret, leaves_nothing_on_the_heap) {
  // A heap of one buffer, to be looked at afterwards.
  struct Heap final : std::pmr::memory_resource {
    void* do_allocate(std::size_t size, std::size_t) override {
      used += (size + 15) / 16 * 16;
      return buffer + used - (size + 15) / 16 * 16;
    }
    void do_deallocate(void*, std::size_t, std::size_t) override {}
    bool do_is_equal(const memory_resource& other) const noexcept override {
      return this == &other;
    }
    std::size_t used = 0;
    alignas(16) char buffer[4096] = {};
  };
  Heap heap;
  {
    using Text = Secret<std::pmr::string>;
    Text text(std::pmr::string("a long secret of many bytes, longer than any object", &heap));
    Text other(std::pmr::string("another long secret", &heap));
    other = text;
    const Text moved(std::move(text));
    EXPECT_NE(std::string_view(heap.buffer, heap.used).find("secret"), std::string_view::npos);
  }
  EXPECT_EQ(std::string_view(heap.buffer, heap.used).find("secret"), std::string_view::npos);
}

TEST(Wipe, covers_what_a_shorter_text_has_left) {
  std::string text = "a secret that is longer than the object";
  const char* at = text.data();
  text.resize(2);
  {
    const WipedAtEnd wiped(text);
  }
  EXPECT_TRUE(text.empty());
  EXPECT_EQ(text.data(), at);
  text.resize(30, ' ');  // without touching what is there: the buffer is the same
  EXPECT_EQ(text.find("longer"), std::string::npos);
}

struct Lines final : LogSink {
  std::vector<std::string> lines;
  void write(LogLevel level, std::string_view area, std::string_view line) override {
    lines.push_back(fmt::format("{} {} {}", to_string(level), area, line));
  }
};

TEST(Logger, formats_what_its_level_lets_through) {
  Lines sink;
  Logger log(sink, LogLevel::info);
  log.info("path", "direct rtt={}", 5);
  log.debug("path", "unseen {}", 1);
  log.set_level(LogLevel::error);
  log.warn("path", "unseen");
  log.error("path", "seen");
  EXPECT_EQ(sink.lines, (std::vector<std::string>{"info path direct rtt=5", "error path seen"}));
}

enum class Colour : std::uint8_t { red, green, infrared };

}  // namespace

// The last has none.
template <>
inline constexpr std::array<std::string_view, 2> kWords<Colour>{"red", "green"};

namespace {

TEST(Words, lead_to_values_and_back) {
  EXPECT_EQ(word_of(Colour::green), "green");
  EXPECT_EQ(value_of<Colour>("red"), Colour::red);
  EXPECT_EQ(value_of<Colour>("Red"), std::nullopt);
  EXPECT_EQ(value_of<Colour>(""), std::nullopt);
  EXPECT_EQ(word_of(Colour::infrared), "");
}

Result<int> doubled(Status status, int value) {
  CULVERT_CHECK(std::move(status));
  return 2 * value;
}

TEST(Check, returns_the_error_or_goes_on) {
  EXPECT_EQ(doubled({}, 21).value(), 42);
  const auto failed = doubled(fail(ErrorKind::limit, "too much", "here"), 21);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().text(), "here: too much");
}

}  // namespace
}  // namespace culvert
