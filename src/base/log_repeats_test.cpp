#include "base/log_repeats.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <vector>

namespace culvert {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kBegin{hours(1)};

struct RepeatingLog {
  LogRepeats repeats;
  std::vector<std::string> lines;

  // Summaries come when they are due, as a timer brings them.
  void run_until(Instant now) {
    while (repeats.next_timeout() <= now) {
      const Instant due = repeats.next_timeout();
      while (const auto summary = repeats.poll_summary(due)) lines.push_back(summary->text());
    }
  }
  void warn(Instant now, const std::string& line) {
    run_until(now);
    if (repeats.admits(now, line)) lines.push_back(line);
  }
};

TEST(LogRepeats, writes_the_first_and_then_how_many_came) {
  RepeatingLog log;
  for (int i = 0; i < 2'000; ++i) log.warn(kBegin + milliseconds(i), "refused");
  EXPECT_EQ(log.lines, std::vector<std::string>{"refused"});
  log.run_until(kBegin + seconds(10));
  EXPECT_EQ(log.lines, (std::vector<std::string>{"refused", "refused (1999 times more in 10 s)"}));
}

TEST(LogRepeats, says_it_ever_more_rarely) {
  RepeatingLog log;
  for (int i = 0; i < 2'000; ++i) log.warn(kBegin + seconds(i), "refused");
  EXPECT_EQ(log.lines.size(), 8U);  // 0, 10, 30, 70, 150, 310, 630, 1270 s
  for (int i = 0; i < 24 * 60; ++i) log.warn(kBegin + hours(1) + seconds(60 * i), "refused");
  EXPECT_LE(log.lines.size(), 41U);
}

TEST(LogRepeats, counts_nothing_twice_and_loses_nothing) {
  LogRepeats repeats;
  std::uint64_t told = 0;
  for (int i = 0; i < 5'000; ++i) {
    const Instant now = kBegin + milliseconds(137 * i);
    if (repeats.admits(now, "a")) ++told;
    while (const auto summary = repeats.poll_summary(now)) told += summary->count;
  }
  while (const auto summary = repeats.poll_rest(kBegin + hours(1))) told += summary->count;
  EXPECT_EQ(told, 5'000U);
}

TEST(LogRepeats, is_news_again_after_a_quiet_time) {
  RepeatingLog log;
  log.warn(kBegin, "refused");
  log.warn(kBegin + limits::kLogRepeatForget, "refused");
  EXPECT_EQ(log.lines, (std::vector<std::string>{"refused", "refused"}));
  EXPECT_EQ(log.repeats.next_timeout(), kNever);  // nothing is counted
}

TEST(LogRepeats, has_room_again_after_a_quiet_time) {
  RepeatingLog log;
  for (int i = 0; i < 100; ++i) log.warn(kBegin, fmt::format("port {} refused", i));
  log.run_until(kBegin + hours(1));
  log.lines.clear();
  log.warn(kBegin + hours(1), "news");
  EXPECT_EQ(log.lines, std::vector<std::string>{"news"});
}

TEST(LogRepeats, says_what_came_before_a_quiet_time) {
  RepeatingLog log;
  for (int i = 0; i < 2'000; ++i) log.warn(kBegin + seconds(i), "refused");  // now every 1280 s
  log.lines.clear();
  log.run_until(kBegin + seconds(1'999) + limits::kLogRepeatForget);
  EXPECT_EQ(log.lines.size(), 1U);
}

TEST(LogRepeats, keeps_lines_apart) {
  RepeatingLog log;
  for (int i = 0; i < 10; ++i) {
    log.warn(kBegin, "a");
    log.warn(kBegin, "b");
  }
  log.run_until(kBegin + seconds(10));
  EXPECT_EQ(log.lines, (std::vector<std::string>{"a", "b", "a (9 times more in 10 s)",
                                                 "b (9 times more in 10 s)"}));
}

TEST(LogRepeats, lines_that_all_differ_are_no_flood_either) {
  RepeatingLog log;
  for (int i = 0; i < 2'000; ++i) log.warn(kBegin, fmt::format("port {} refused", i));
  EXPECT_EQ(log.lines.size(), limits::kMaxLogRepeats - 1);
  log.run_until(kBegin + seconds(10));
  ASSERT_EQ(log.lines.size(), limits::kMaxLogRepeats);
  EXPECT_EQ(log.lines.back(),
            fmt::format("{} other lines like these in 10 s", 2'000 - limits::kMaxLogRepeats + 1));
}

}  // namespace
}  // namespace culvert
