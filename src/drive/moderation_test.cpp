#include "drive/moderation.h"

#include <gtest/gtest.h>

namespace culvert::drive {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kModerationStart(seconds(100));

void take_turn(Moderation& moderation, Instant now, Duration round_trip) {
  moderation.note_datagram();
  moderation.note_round_trip(round_trip);
  moderation.end_turn(now);
}

// One datagram a turn, so far apart, for 100 ms.
Instant receive(Moderation& moderation, Instant now, Duration apart, Duration round_trip) {
  const Instant end = now + milliseconds(100);
  for (; now < end; now += apart) take_turn(moderation, now, round_trip);
  return now;
}

TEST(Moderation, lets_a_bulk_flow_of_a_long_path_gather) {
  Moderation moderation;
  EXPECT_EQ(moderation.rest(), Duration::zero());
  receive(moderation, kModerationStart, microseconds(120), milliseconds(20));
  EXPECT_EQ(moderation.rest(), microseconds(500));
}

TEST(Moderation, rests_a_small_part_of_the_shortest_round_trip) {
  Moderation moderation;
  Instant now = receive(moderation, kModerationStart, microseconds(120), milliseconds(4));
  EXPECT_EQ(moderation.rest(), microseconds(250));
  now = receive(moderation, now, microseconds(120), microseconds(500));
  EXPECT_EQ(moderation.rest(), Duration::zero());
}

TEST(Moderation, one_near_peer_is_enough_not_to_rest) {
  Moderation moderation;
  Instant now = kModerationStart;
  for (int i = 0; i < 1000; ++i) {
    take_turn(moderation, now, i % 10 == 0 ? microseconds(300) : milliseconds(50));
    now += microseconds(100);
  }
  EXPECT_EQ(moderation.rest(), Duration::zero());
}

TEST(Moderation, rests_shorter_the_faster_they_come) {
  Moderation moderation;
  receive(moderation, kModerationStart, microseconds(12), milliseconds(20));
  EXPECT_NEAR(static_cast<double>(moderation.rest().count()), 16 * 12e3, 2e3);
}

TEST(Moderation, what_is_rare_is_handled_at_once) {
  Moderation moderation;
  Instant now = receive(moderation, kModerationStart, milliseconds(3), milliseconds(20));
  EXPECT_EQ(moderation.rest(), Duration::zero());
  now = receive(moderation, now, microseconds(120), milliseconds(20));
  EXPECT_GT(moderation.rest(), Duration::zero());
  take_turn(moderation, now + seconds(1), milliseconds(20));  // the first after the bulk
  EXPECT_EQ(moderation.rest(), Duration::zero());
}

}  // namespace
}  // namespace culvert::drive
