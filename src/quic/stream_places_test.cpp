#include "quic/stream_places.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

TEST(StreamPlaces, are_granted_once) {
  StreamPlaces places(1);
  EXPECT_EQ(places.take_grant(), 0U);
  places.allow(10);
  EXPECT_EQ(places.take_grant(), 9U);
  EXPECT_EQ(places.take_grant(), 0U);
  EXPECT_TRUE(places.give_back());
}

TEST(StreamPlaces, go_with_their_streams_where_there_are_too_many) {
  StreamPlaces places(3);
  places.allow(1);
  EXPECT_EQ(places.take_grant(), 0U);
  EXPECT_FALSE(places.give_back());
  EXPECT_FALSE(places.give_back());
  EXPECT_TRUE(places.give_back());
  places.allow(2);
  EXPECT_EQ(places.take_grant(), 1U);
}

TEST(StreamPlaces, are_told_of_to_who_wanted_one) {
  StreamPlaces places(1);
  EXPECT_FALSE(places.take_wish());
  places.want();
  EXPECT_TRUE(places.take_wish());
  EXPECT_FALSE(places.take_wish());
}

}  // namespace
}  // namespace culvert::quic
