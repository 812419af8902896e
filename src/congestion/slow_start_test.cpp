#include "congestion/slow_start.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

using std::chrono::milliseconds;

void play_round(SlowStart& slow_start, Duration rtt, int samples = 10) {
  for (int i = 0; i < samples; ++i) slow_start.on_round_trip(rtt);
  slow_start.end_round();
}

TEST(SlowStart, goes_on_while_the_round_trip_stays) {
  SlowStart slow_start;
  for (int i = 0; i < 50; ++i) play_round(slow_start, milliseconds(50 + i % 3));
  EXPECT_FALSE(slow_start.is_over());
  EXPECT_EQ(slow_start.growth(100), 100);
}

TEST(SlowStart, slows_down_when_it_grows_and_ends_some_rounds_later) {
  SlowStart slow_start;
  play_round(slow_start, milliseconds(50));
  play_round(slow_start, milliseconds(57));
  EXPECT_EQ(slow_start.growth(100), 25);
  for (int i = 0; i < 3; ++i) play_round(slow_start, milliseconds(58));
  EXPECT_FALSE(slow_start.is_over());
  play_round(slow_start, milliseconds(59));
  EXPECT_TRUE(slow_start.is_over());
}

TEST(SlowStart, takes_it_back_when_that_was_chance) {
  SlowStart slow_start;
  play_round(slow_start, milliseconds(50));
  play_round(slow_start, milliseconds(57));
  play_round(slow_start, milliseconds(50));
  EXPECT_EQ(slow_start.growth(100), 100);
  for (int i = 0; i < 10; ++i) play_round(slow_start, milliseconds(50));
  EXPECT_FALSE(slow_start.is_over());
}

TEST(SlowStart, learns_nothing_from_few_samples) {
  SlowStart slow_start;
  play_round(slow_start, milliseconds(50));
  play_round(slow_start, milliseconds(90), 7);
  EXPECT_EQ(slow_start.growth(100), 100);
}

}  // namespace
}  // namespace culvert::congestion
