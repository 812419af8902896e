#include "congestion/decoys.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

TEST(Decoys, come_as_often_as_they_should_and_at_no_fixed_distance) {
  SeededRng rng(1);
  Decoys decoys;
  std::uint64_t sent = 0;
  std::uint64_t last = 0;
  std::uint64_t least = UINT64_MAX;
  std::uint64_t most = 0;
  for (int i = 0; i < 1'000; ++i) {
    while (!decoys.is_due()) {
      decoys.on_sent(rng, 1);
      ++sent;
    }
    decoys.expect_number();
    decoys.on_numbered(static_cast<std::int64_t>(sent));
    least = std::min(least, sent - last);
    most = std::max(most, sent - last);
    last = sent;
  }
  EXPECT_NEAR(static_cast<double>(sent) / 1'000, Decoys::kOneIn, 40);
  EXPECT_LT(least, 20U);
  EXPECT_GT(most, 2 * Decoys::kOneIn - 20);
}

TEST(Decoys, are_known_by_their_numbers_and_no_others_are) {
  SeededRng rng(1);
  Decoys decoys;
  decoys.on_numbered(5);  // an ordinary packet
  EXPECT_FALSE(decoys.has(5));
  decoys.expect_number();
  decoys.on_numbered(6);
  decoys.on_numbered(7);
  EXPECT_FALSE(decoys.has(5));
  EXPECT_TRUE(decoys.has(6));
  EXPECT_FALSE(decoys.has(7));
  EXPECT_FALSE(decoys.is_due());
  decoys.expect_number();
  decoys.give_up();  // there was no room for one
  decoys.on_numbered(8);
  EXPECT_FALSE(decoys.has(8));
  EXPECT_EQ(decoys.count(), 1U);
}

TEST(Decoys, are_known_as_long_as_a_full_window_is_under_way) {
  Decoys decoys;
  for (std::int64_t number = 0; number < 24; ++number) {
    EXPECT_FALSE(decoys.has(number));
    decoys.expect_number();
    decoys.on_numbered(number);
  }
  for (std::int64_t number = 0; number < 24; ++number) EXPECT_TRUE(decoys.has(number)) << number;
}

}  // namespace
}  // namespace culvert::congestion
