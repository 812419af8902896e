#include "congestion/up_probe.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

TEST(UpProbe, asks_for_less_after_one_that_lost_packets_and_then_for_more_again) {
  UpProbe probe;
  EXPECT_DOUBLE_EQ(probe.next_gain(), 1.25);
  probe.lower_next();
  EXPECT_DOUBLE_EQ(probe.next_gain(), 1.125);
  for (int i = 0; i < 10; ++i) probe.lower_next();
  EXPECT_DOUBLE_EQ(probe.next_gain(), 1.03) << "less would find nothing";
  probe.raise_next();
  EXPECT_DOUBLE_EQ(probe.next_gain(), 1.04);
  for (int i = 0; i < 100; ++i) probe.raise_next();
  EXPECT_DOUBLE_EQ(probe.next_gain(), 1.25);
}

TEST(UpProbe, remembers_how_things_stood) {
  UpProbe probe;
  probe.begin(2, 1e6, std::chrono::milliseconds(3));
  EXPECT_EQ(probe.gain(), 2);
  EXPECT_EQ(probe.bandwidth_before(), 1e6);
  EXPECT_EQ(probe.queue_before(), std::chrono::milliseconds(3));
  probe.note_bandwidth(2e6);
  EXPECT_EQ(probe.bandwidth_before(), 2e6);
  EXPECT_EQ(probe.queue_before(), std::chrono::milliseconds(3));
}

}  // namespace
}  // namespace culvert::congestion
