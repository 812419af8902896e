#include "congestion/cubic_window.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr double kPacketBytes = 1500;
constexpr Duration kRtt = milliseconds(100);

// A window acknowledged each round trip.
void grow(CubicWindow& window, Instant& now, Duration span) {
  const Instant end = now + span;
  while (now < end) {
    now += kRtt;
    window.on_ack(now, kRtt, window.bytes());
  }
}

TEST(CubicWindow, is_back_after_the_time_of_the_standard) {
  CubicWindow window;
  Instant now(seconds(10));
  window.start(now, 1000 * kPacketBytes, kPacketBytes);
  window.on_congestion(now);
  EXPECT_NEAR(window.bytes(), 700 * kPacketBytes, kPacketBytes);
  // RFC 9438 4.2: K = cbrt(300 / 0.4) = 9.09 s.
  grow(window, now, seconds(6));
  EXPECT_LT(window.bytes(), 995 * kPacketBytes);
  EXPECT_GT(window.bytes(), 960 * kPacketBytes);
  grow(window, now, seconds(3));
  EXPECT_NEAR(window.bytes(), 1000 * kPacketBytes, 10 * kPacketBytes);
  grow(window, now, seconds(9));
  EXPECT_GT(window.bytes(), 1200 * kPacketBytes);
}

TEST(CubicWindow, grows_like_reno_where_that_is_faster) {
  CubicWindow window;
  Instant now(seconds(10));
  window.start(now, 10 * kPacketBytes, kPacketBytes);
  window.on_congestion(now);
  const Duration rtt = milliseconds(5);
  for (int i = 0; i < 20; ++i) {
    now += rtt;
    window.on_ack(now, rtt, window.bytes());
  }
  // 0.53 packets a round trip to where it was (RFC 9438 4.3), then one.
  EXPECT_GT(window.bytes(), 16 * kPacketBytes);
  EXPECT_LT(window.bytes(), 28 * kPacketBytes);
}

TEST(CubicWindow, gives_way_faster_when_it_did_not_get_back) {
  CubicWindow window;
  Instant now(seconds(10));
  window.start(now, 100 * kPacketBytes, kPacketBytes);
  window.on_congestion(now);
  window.on_congestion(now);
  EXPECT_NEAR(window.bytes(), 49 * kPacketBytes, kPacketBytes);
  grow(window, now, seconds(5));
  EXPECT_LT(window.bytes(), 90 * kPacketBytes);
}

TEST(CubicWindow, keeps_a_few_packets) {
  CubicWindow window;
  const Instant now(seconds(10));
  window.start(now, 0, kPacketBytes);
  for (int i = 0; i < 10; ++i) window.on_congestion(now);
  EXPECT_EQ(window.bytes(), 4 * kPacketBytes);
}

TEST(CubicWindow, of_several_flows_gives_way_by_the_share_of_one) {
  CubicWindow window;
  const Instant now(seconds(10));
  window.start(now, 100 * kPacketBytes, kPacketBytes);
  window.set_flows(4);
  window.on_congestion(now);
  EXPECT_NEAR(window.bytes(), 92.5 * kPacketBytes, 1);
  window.on_congestion(now, 0.75);
  EXPECT_NEAR(window.bytes(), 92.5 * (1 - 0.3 * 0.75 / 4) * kPacketBytes, 1);
  window.set_flows(0);
  EXPECT_EQ(window.flows(), 1U);
  window.set_flows(100);
  EXPECT_EQ(window.flows(), CubicWindow::kMostFlows);
}

TEST(CubicWindow, counts_no_time_in_which_nothing_is_learned) {
  CubicWindow window;
  Instant now(seconds(10));
  window.start(now, 1000 * kPacketBytes, kPacketBytes);
  window.on_congestion(now);
  window.pause();
  now += seconds(100);
  window.on_ack(now, kRtt, 10 * kPacketBytes);
  EXPECT_LT(window.bytes(), 701 * kPacketBytes);
}

}  // namespace
}  // namespace culvert::congestion
