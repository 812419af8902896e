#include "quic/stopped_clock.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

using namespace std::chrono_literals;
using Stop = StoppedClock::Stop;

const Instant kClockStart(1000s);

TEST(StoppedClock, shows_our_time_and_never_goes_back) {
  StoppedClock clock(kClockStart);
  EXPECT_EQ(clock.last(), kClockStart);
  EXPECT_EQ(clock.advance(kClockStart + 3ms), kClockStart + 3ms);
  EXPECT_EQ(clock.advance(kClockStart + 1ms), kClockStart + 3ms);
  EXPECT_EQ(clock.last(), kClockStart + 3ms);
  EXPECT_EQ(clock.to_ours(kClockStart), kClockStart);
  EXPECT_EQ(clock.to_ours(kNever), kNever);
}

TEST(StoppedClock, stands_still_from_the_timer_that_was_missed) {
  StoppedClock clock(kClockStart);
  const Instant due = kClockStart + 100ms;
  const Instant awake = kClockStart + 8s;
  EXPECT_EQ(clock.account_for_stop(awake, due, 30s), Stop::made_up_for);
  EXPECT_EQ(clock.advance(awake), due);
  EXPECT_EQ(clock.last_of_ours(), awake);
  EXPECT_EQ(clock.to_ours(due + 20ms), awake + 20ms);
  EXPECT_EQ(clock.to_ours(kNever), kNever);
  EXPECT_EQ(clock.account_for_stop(awake + 1ms, due, 30s), Stop::none) << "it is made up for";
  // And once more.
  EXPECT_EQ(clock.account_for_stop(awake + 10s, due + 2s, 30s), Stop::made_up_for);
  EXPECT_EQ(clock.advance(awake + 10s), due + 2s);
}

TEST(StoppedClock, goes_on_where_nothing_was_missed) {
  StoppedClock clock(kClockStart);
  // Nothing was due; what was due is served in time; somebody was there meanwhile.
  EXPECT_EQ(clock.account_for_stop(kClockStart + 20s, kClockStart + 25s, 30s), Stop::none);
  EXPECT_EQ(clock.account_for_stop(kClockStart + 20s, kNever, 30s), Stop::none);
  EXPECT_EQ(clock.account_for_stop(kClockStart + 20s, kClockStart + 19'100ms, 30s), Stop::none);
  EXPECT_EQ(clock.account_for_stop(kClockStart + 900ms, kClockStart - 5s, 30s), Stop::none);
  EXPECT_EQ(clock.advance(kClockStart + 20s), kClockStart + 20s);
}

TEST(StoppedClock, does_not_hide_what_outlasted_the_peers_patience) {
  StoppedClock clock(kClockStart);
  const Instant awake = kClockStart + 30s;
  EXPECT_EQ(clock.account_for_stop(awake, kClockStart + 1s, 30s), Stop::too_long);
  EXPECT_EQ(clock.advance(awake), awake);
}

}  // namespace
}  // namespace culvert::quic
