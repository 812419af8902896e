#include "quic/held_answer.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

using namespace std::chrono_literals;

const Instant kAnswerStart(1000s);

TEST(HeldAnswer, waits_for_a_moment_from_the_first_datagram_on) {
  HeldAnswer answer;
  EXPECT_FALSE(answer.may_wait()) << "nothing is to be answered";
  answer.on_received(kAnswerStart);
  EXPECT_TRUE(answer.may_wait());
  EXPECT_EQ(answer.due(), kAnswerStart + HeldAnswer::kHold);
  answer.on_written();
  EXPECT_FALSE(answer.may_wait());
  answer.on_received(kAnswerStart + 5ms);
  EXPECT_EQ(answer.due(), kAnswerStart + 5ms + HeldAnswer::kHold);
}

TEST(HeldAnswer, waits_for_more_datagrams_where_the_round_trip_is_long) {
  const struct {
    Duration round_trip;
    int waits_for;
  } cases[] = {{0ms, 1}, {1ms, 1}, {4ms, 2}, {10ms, 5}, {100ms, 9}, {10s, 9}};
  for (const auto& [round_trip, waits_for] : cases) {
    HeldAnswer answer;
    answer.set_round_trip(round_trip);
    for (int i = 1; i <= 12; ++i) {
      answer.on_received(kAnswerStart + i * 10us);
      EXPECT_EQ(answer.may_wait(), i <= waits_for) << i << " at " << round_trip.count();
      EXPECT_EQ(answer.due(), kAnswerStart + 10us + HeldAnswer::kHold);
    }
  }
}

TEST(HeldAnswer, leaves_at_once_with_what_is_said_anyway) {
  HeldAnswer answer;
  answer.hurry();
  answer.on_received(kAnswerStart);
  EXPECT_FALSE(answer.may_wait());
  answer.on_written();
  answer.on_received(kAnswerStart);
  EXPECT_TRUE(answer.may_wait());
  answer.hurry();
  EXPECT_FALSE(answer.may_wait());
}

}  // namespace
}  // namespace culvert::quic
