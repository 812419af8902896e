#include "congestion/bandwidth_filter.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

TEST(BandwidthFilter, knows_nothing_at_first) {
  EXPECT_EQ(BandwidthFilter().greatest(), 0);
}

TEST(BandwidthFilter, has_the_greatest_of_a_round_and_of_the_last_ten) {
  BandwidthFilter filter;
  filter.add(1, 500);
  filter.add(1, 900);
  filter.add(1, 700);
  EXPECT_EQ(filter.newest(), 900);
  for (std::uint64_t round = 2; round <= 10; ++round) filter.add(round, 100);
  EXPECT_EQ(filter.greatest(), 900);
  filter.add(11, 100);
  EXPECT_EQ(filter.greatest(), 100);
}

TEST(BandwidthFilter, counts_only_rounds_that_tell_something) {
  BandwidthFilter filter;
  filter.add(1, 900);
  filter.add(500, 100);
  EXPECT_EQ(filter.greatest(), 900);
  EXPECT_EQ(filter.newest(), 100);
}

TEST(BandwidthFilter, forgets_what_exceeds_the_last_rounds) {
  BandwidthFilter filter;
  filter.add(1, 900);
  filter.add(2, 300);
  filter.add(3, 200);
  filter.forget_older();
  EXPECT_EQ(filter.greatest(), 900) << "it is one of the last three";
  filter.add(4, 100);
  filter.forget_older();
  EXPECT_EQ(filter.greatest(), 300);
}

}  // namespace
}  // namespace culvert::congestion
