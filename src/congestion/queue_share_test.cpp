#include "congestion/queue_share.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kShareStart(seconds(100));
constexpr Duration kShareRoundTrip = milliseconds(40);
constexpr double kSharePacket = 1000;

// A window was acknowledged, in packets.
void acknowledge_all(QueueShare& share, Instant& now, Duration queue) {
  now += kShareRoundTrip;
  const double window = share.window_bytes();
  for (double acked = 0; acked < window; acked += kSharePacket) {
    share.on_ack(now, kShareRoundTrip, queue, kSharePacket, kSharePacket);
  }
}

TEST(QueueShare, doubles_until_the_queue_is_longer_by_an_eighth_of_a_round_trip) {
  Instant now = kShareStart;
  QueueShare share;
  share.begin(now, 10 * kSharePacket, kSharePacket, milliseconds(20));
  acknowledge_all(share, now, milliseconds(25));
  EXPECT_NEAR(share.window_bytes(), 20 * kSharePacket, kSharePacket);
  acknowledge_all(share, now, milliseconds(25));
  EXPECT_NEAR(share.window_bytes(), 40 * kSharePacket, kSharePacket);
  acknowledge_all(share, now, milliseconds(26));
  EXPECT_LT(share.window_bytes(), 45 * kSharePacket);
}

TEST(QueueShare, has_found_its_share_once_something_is_lost) {
  Instant now = kShareStart;
  QueueShare share;
  share.begin(now, 100 * kSharePacket, kSharePacket, milliseconds(20));
  share.cut(now);
  EXPECT_NEAR(share.window_bytes(), 70 * kSharePacket, kSharePacket);
  acknowledge_all(share, now, milliseconds(20));
  EXPECT_LT(share.window_bytes(), 75 * kSharePacket);
}

}  // namespace
}  // namespace culvert::congestion
