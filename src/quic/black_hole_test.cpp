#include "quic/black_hole.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kLarge = 1452;
constexpr Instant kHoleStart(seconds(100));

TEST(BlackHole, is_suspected_when_large_packets_are_lost_again_and_again) {
  BlackHole hole;
  Instant now = kHoleStart;
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(hole.is_suspected());
    for (int packet = 0; packet < 50; ++packet) hole.on_lost(now, now - milliseconds(30), kLarge);
    hole.on_acked(100);
    now += milliseconds(40);
  }
  EXPECT_TRUE(hole.is_suspected());
  EXPECT_EQ(hole.limit(now, kLarge), BlackHole::kSafeBytes);
  EXPECT_EQ(hole.limit(now, 1100), 1100U);
}

TEST(BlackHole, is_none_where_large_packets_arrive_between) {
  BlackHole hole;
  Instant now = kHoleStart;
  for (int i = 0; i < 100; ++i) {
    hole.on_lost(now, now - milliseconds(30), kLarge);
    hole.on_acked(kLarge);
    now += milliseconds(40);
  }
  EXPECT_FALSE(hole.is_suspected());
}

TEST(BlackHole, is_none_where_small_packets_are_lost) {
  BlackHole hole;
  for (int i = 0; i < 10; ++i) {
    const Instant now = kHoleStart + i * milliseconds(40);
    hole.on_lost(now, now - milliseconds(30), 1000);
  }
  EXPECT_FALSE(hole.is_suspected());
}

TEST(BlackHole, is_suspected_when_nothing_is_acknowledged) {
  BlackHole hole;
  hole.on_sent(kHoleStart, 100);
  hole.on_probe_timeouts(kHoleStart, 2);
  EXPECT_FALSE(hole.is_suspected()) << "nothing large is missing";
  hole.on_sent(kHoleStart, kLarge);
  hole.on_probe_timeouts(kHoleStart, 1);
  EXPECT_FALSE(hole.is_suspected());
  hole.on_probe_timeouts(kHoleStart, 2);
  EXPECT_TRUE(hole.is_suspected());
}

TEST(BlackHole, is_tried_ever_more_rarely_and_forgotten_when_a_large_packet_arrives) {
  BlackHole hole;
  hole.on_sent(kHoleStart, kLarge);
  hole.on_probe_timeouts(kHoleStart, 2);
  Instant now = kHoleStart;
  int tries = 0;
  while (now < kHoleStart + seconds(600)) {
    if (hole.limit(now, kLarge) == kLarge) {
      ++tries;
      hole.on_sent(now, kLarge);
    }
    hole.on_sent(now, 100);  // is no try
    now += milliseconds(50);
  }
  EXPECT_GE(tries, 10);
  EXPECT_LE(tries, 20);
  hole.on_acked(kLarge);
  EXPECT_FALSE(hole.is_suspected());
  EXPECT_EQ(hole.limit(now, kLarge), kLarge);
}

}  // namespace
}  // namespace culvert::quic
