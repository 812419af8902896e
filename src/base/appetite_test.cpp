#include "base/appetite.h"

#include <gtest/gtest.h>

namespace culvert {
namespace {

using Reads = Appetite<1024, 262'144>;

TEST(Appetite, asks_a_source_of_small_things_for_little) {
  Reads reads;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(reads.wanted(), 1024U);
    reads.on_got(reads.wanted(), 64);
  }
}

TEST(Appetite, has_grown_to_its_most_after_a_few_full_meals) {
  Reads reads;
  for (int i = 0; i < 4; ++i) reads.on_got(reads.wanted(), reads.wanted());
  EXPECT_EQ(reads.wanted(), 262'144U);
  reads.on_got(reads.wanted(), reads.wanted());
  EXPECT_EQ(reads.wanted(), 262'144U);
}

TEST(Appetite, keeps_what_messages_fill_by_a_quarter) {
  Reads reads;
  reads.on_got(1024, 1024);
  for (int i = 0; i < 100; ++i) reads.on_got(reads.wanted(), 1025);
  EXPECT_EQ(reads.wanted(), 4096U);
}

TEST(Appetite, forgets_slowly_that_much_came) {
  Reads reads;
  for (int i = 0; i < 4; ++i) reads.on_got(reads.wanted(), reads.wanted());
  reads.on_got(reads.wanted(), 64);
  EXPECT_EQ(reads.wanted(), 131'072U);
  for (int i = 0; i < 20; ++i) reads.on_got(reads.wanted(), 64);
  EXPECT_EQ(reads.wanted(), 1024U);
}

TEST(Appetite, is_not_less_where_nothing_is_left_for_now) {
  Reads reads;
  for (int i = 0; i < 4; ++i) reads.on_got(reads.wanted(), reads.wanted());
  reads.on_got(reads.wanted(), 0);
  EXPECT_EQ(reads.wanted(), 262'144U);
}

TEST(Appetite, is_not_spoilt_by_a_lack_of_room) {
  Reads reads;
  for (int i = 0; i < 4; ++i) reads.on_got(reads.wanted(), reads.wanted());
  reads.on_got(100, 100);
  EXPECT_EQ(reads.wanted(), 262'144U);
}

}  // namespace
}  // namespace culvert
