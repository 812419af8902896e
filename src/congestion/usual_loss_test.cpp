#include "congestion/usual_loss.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

TEST(UsualLoss, tells_chance_from_more) {
  UsualLoss loss;
  EXPECT_TRUE(loss.is_exceeded_by(1, 1000)) << "of a path that never lost one";
  for (int i = 0; i < 200; ++i) loss.learn(0.01);
  EXPECT_NEAR(loss.share(), 0.01, 1e-4);
  // Ten are usual of a thousand, give or take some three.
  EXPECT_FALSE(loss.is_exceeded_by(19, 1000));
  EXPECT_TRUE(loss.is_exceeded_by(20, 1000));
}

TEST(UsualLoss, learns_slowly) {
  UsualLoss loss;
  loss.learn(0.5);
  EXPECT_LT(loss.share(), 0.05);
}

TEST(UsualLoss, is_heavy_where_much_is_lost_twice_in_a_row) {
  UsualLoss loss;
  EXPECT_FALSE(loss.count_heavy(0.3));
  EXPECT_FALSE(loss.count_heavy(0.1));
  EXPECT_FALSE(loss.count_heavy(0.3));
  EXPECT_TRUE(loss.count_heavy(0.3));
}

TEST(UsualLoss, remembers_for_a_hundred_rounds_that_packets_were_only_late) {
  UsualLoss loss;
  EXPECT_FALSE(loss.has_found_of_late(0));
  loss.note_found(7);
  EXPECT_TRUE(loss.has_found_of_late(7));
  EXPECT_TRUE(loss.has_found_of_late(106));
  EXPECT_FALSE(loss.has_found_of_late(107));
}

}  // namespace
}  // namespace culvert::congestion
