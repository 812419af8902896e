// Small values: errors, randomness, secrets, log lines.
#include "base/log.h"
#include "base/result.h"
#include "base/rng.h"
#include "base/secret.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
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

}  // namespace
}  // namespace culvert
