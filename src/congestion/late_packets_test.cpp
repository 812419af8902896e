#include "congestion/late_packets.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kSent(seconds(100));

TEST(LatePackets, knows_lost_ones_that_come_after_all_once) {
  LatePackets late;
  late.on_lost(7);
  EXPECT_EQ(late.on_acked(kSent + milliseconds(50), 8, kSent), std::nullopt);
  EXPECT_EQ(late.on_acked(kSent + milliseconds(50), 7, kSent), milliseconds(50));
  EXPECT_EQ(late.on_acked(kSent + milliseconds(50), 7, kSent), std::nullopt);
  EXPECT_EQ(late.on_acked(kSent, 0, kSent), std::nullopt);
}

TEST(LatePackets, do_not_take_one_for_another) {
  LatePackets late;
  late.on_lost(7);
  EXPECT_EQ(late.on_acked(kSent, 7 + 256, kSent), std::nullopt);
  late.on_lost(7 + 256);  // the older one is forgotten: it stays lost
  EXPECT_EQ(late.on_acked(kSent, 7, kSent), std::nullopt);
  EXPECT_NE(late.on_acked(kSent, 7 + 256, kSent), std::nullopt);
}

TEST(LatePackets, are_waited_for_as_long_as_they_took_for_a_while) {
  LatePackets late;
  const Duration smoothed = milliseconds(40);
  EXPECT_EQ(late.patience(kSent, smoothed), Duration::zero());
  late.on_lost(1);
  (void)late.on_acked(kSent + milliseconds(60), 1, kSent);
  late.on_lost(2);
  (void)late.on_acked(kSent + milliseconds(70), 2, kSent + milliseconds(20));
  EXPECT_EQ(late.patience(kSent + milliseconds(80), smoothed), milliseconds(60));
  EXPECT_EQ(late.patience(kSent + seconds(5), milliseconds(20)), milliseconds(40));
  EXPECT_EQ(late.patience(kSent + seconds(20), smoothed), Duration::zero());
}

}  // namespace
}  // namespace culvert::congestion
