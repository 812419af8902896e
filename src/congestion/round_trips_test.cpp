#include "congestion/round_trips.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kRoundTripsStart(seconds(100));

// One each millisecond, for so long.
Instant see(RoundTrips& trips, Instant now, Duration rtt, Duration span) {
  for (const Instant end = now + span; now < end; now += milliseconds(1)) trips.add(now, rtt);
  return now;
}

TEST(RoundTrips, shows_a_queue_by_what_exceeds_the_least) {
  RoundTrips trips;
  EXPECT_EQ(trips.min(), Duration::zero());
  Instant now = see(trips, kRoundTripsStart, milliseconds(20), milliseconds(100));
  EXPECT_EQ(trips.queue(), Duration::zero());
  now = see(trips, now, milliseconds(50), milliseconds(100));
  EXPECT_EQ(trips.min(), milliseconds(20));
  EXPECT_EQ(trips.queue(), milliseconds(30));
  see(trips, now, milliseconds(20), milliseconds(1));
  EXPECT_EQ(trips.queue(), Duration::zero()) << "one without a queue is enough";
}

TEST(RoundTrips, forgets_the_least_after_half_a_minute_or_two) {
  RoundTrips trips;
  Instant now = see(trips, kRoundTripsStart, milliseconds(20), milliseconds(100));
  now = see(trips, now, milliseconds(50), seconds(29));
  EXPECT_EQ(trips.min(), milliseconds(20));
  see(trips, now, milliseconds(50), seconds(32));
  EXPECT_EQ(trips.min(), milliseconds(50));
}

TEST(RoundTrips, does_not_forget_it_for_a_few_samples) {
  RoundTrips trips;
  Instant now = see(trips, kRoundTripsStart, milliseconds(20), milliseconds(5));
  for (int i = 0; i < 5; ++i) trips.add(now += seconds(40), milliseconds(50));
  EXPECT_EQ(trips.min(), milliseconds(20));
}

TEST(RoundTrips, knows_when_the_queue_was_empty) {
  RoundTrips trips;
  Instant now = see(trips, kRoundTripsStart, milliseconds(20), milliseconds(10));
  const Instant empty = now - milliseconds(1);
  now = see(trips, now, milliseconds(21), milliseconds(10));
  EXPECT_EQ(trips.empty_at(), empty);
  trips.note_empty(now);
  EXPECT_EQ(trips.empty_at(), now);
}

TEST(RoundTrips, has_the_least_of_each_round) {
  RoundTrips trips;
  trips.add(kRoundTripsStart, milliseconds(20));
  trips.begin_round();
  EXPECT_EQ(trips.of_round(), Duration::max());
  trips.add(kRoundTripsStart, milliseconds(30));
  trips.add(kRoundTripsStart, milliseconds(25));
  EXPECT_EQ(trips.of_round(), milliseconds(25));
}

}  // namespace
}  // namespace culvert::congestion
