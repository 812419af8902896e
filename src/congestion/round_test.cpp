#include "congestion/round.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

TEST(Round, ends_with_what_was_sent_after_its_beginning) {
  Round round;
  round.begin_next(5000, false);
  EXPECT_FALSE(round.is_ended_by(4999));
  EXPECT_TRUE(round.is_ended_by(5000));
  EXPECT_EQ(round.number(), 1U);
}

TEST(Round, counts_its_own_bytes) {
  Round round;
  round.on_acked(3000, false);
  round.on_lost(1000);
  round.on_acked(0, true);
  EXPECT_EQ(round.acked(), 3000);
  EXPECT_EQ(round.lost(), 1000);
  EXPECT_TRUE(round.is_app_limited());
  round.begin_next(3000, false);
  EXPECT_EQ(round.acked(), 0);
  EXPECT_EQ(round.lost(), 0);
  EXPECT_FALSE(round.is_app_limited());
}

TEST(Round, has_lost_nothing_less_than_nothing) {
  Round round;
  round.on_lost(1000);
  round.begin_next(1, false);
  round.on_found(1000);  // of the round before
  EXPECT_EQ(round.lost(), 0);
}

}  // namespace
}  // namespace culvert::congestion
