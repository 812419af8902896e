#include "congestion/repeats.h"

#include "base/limits.h"

#include <gtest/gtest.h>

namespace culvert::congestion {
namespace {

using namespace std::chrono_literals;

const Instant kRepeatsStart(100s);
const PathId kSomePath{.local = {IpAddress::v4(0x0A000001), 1},
                       .remote = {IpAddress::v4(0x0A000002), 2}};

Bytes packet_of(std::size_t size, std::uint8_t fill = 1) {
  return Bytes(size, fill);
}

void keep(Repeats& repeats, Instant now, const Bytes& packet, Duration round_trip = 80ms,
          unsigned copies = 1) {
  repeats.keep(now, round_trip, kSomePath, Ecn::ect0, packet, copies);
}

TEST(Repeats, gives_a_packet_out_again_once_and_a_moment_later) {
  Repeats repeats;
  EXPECT_EQ(repeats.next_due(), kNever);
  const Bytes packet = packet_of(90);
  keep(repeats, kRepeatsStart, packet);
  EXPECT_EQ(repeats.next_due(), kRepeatsStart + 5ms);
  EXPECT_FALSE(repeats.front(kRepeatsStart + 4ms));
  const auto copy = repeats.front(kRepeatsStart + 5ms);
  ASSERT_TRUE(copy);
  EXPECT_EQ(copy->path, kSomePath);
  EXPECT_EQ(copy->ecn, Ecn::ect0);
  EXPECT_EQ(Bytes(copy->bytes.begin(), copy->bytes.end()), packet);
  repeats.end_front(kRepeatsStart + 5ms);
  EXPECT_EQ(repeats.next_due(), kNever);
  EXPECT_FALSE(repeats.front(kRepeatsStart + 1s));
}

TEST(Repeats, give_a_packet_out_as_often_as_was_asked_for_and_in_order) {
  for (const std::uint8_t packets : {1, 2, 4}) {
    Repeats repeats;
    for (std::uint8_t i = 0; i < packets; ++i) {
      keep(repeats, kRepeatsStart + 1ms * i, packet_of(90, i), 80ms, 2);
    }
    for (const Duration after : {5ms, 10ms}) {
      for (std::uint8_t i = 0; i < packets; ++i) {
        const Instant due = kRepeatsStart + after + 1ms * i;
        EXPECT_EQ(repeats.next_due(), due);
        ASSERT_TRUE(repeats.front(due));
        EXPECT_EQ(repeats.front(due)->bytes[0], i);
        repeats.end_front(due);
      }
    }
    EXPECT_EQ(repeats.next_due(), kNever);
  }
  Repeats repeats;
  keep(repeats, kRepeatsStart, packet_of(90), 80ms, 0);
  EXPECT_EQ(repeats.next_due(), kNever);
  keep(repeats, kRepeatsStart, packet_of(90), 80ms, 2);
  repeats.drop_front();  // with both copies
  EXPECT_EQ(repeats.next_due(), kNever);
}

// An eighth of a round trip after it should have been acknowledged the first counts as lost.
TEST(Repeats, are_acknowledged_before_the_first_counts_as_lost) {
  for (const Duration round_trip : {10ms, 20ms, 50ms, 100ms, 300ms, 1000ms}) {
    Repeats repeats;
    keep(repeats, kRepeatsStart, packet_of(90), round_trip);
    EXPECT_LT(repeats.next_due() - kRepeatsStart, round_trip / 8);
    EXPECT_GE(repeats.next_due() - kRepeatsStart, 1ms);
  }
  Repeats repeats;
  keep(repeats, kRepeatsStart, packet_of(90), 4ms);
  EXPECT_EQ(repeats.next_due(), kNever);
}

TEST(Repeats, keep_their_order_and_are_few) {
  Repeats repeats;
  for (std::uint8_t i = 0; i < 2 * Repeats::kMostWaiting; ++i) {
    keep(repeats, kRepeatsStart, packet_of(90, i));
  }
  for (std::uint8_t i = 0; i < Repeats::kMostWaiting; ++i) {
    ASSERT_TRUE(repeats.front(kRepeatsStart + 1s));
    EXPECT_EQ(repeats.front(kRepeatsStart + 1s)->bytes[0], i);
    repeats.drop_front();
  }
  EXPECT_EQ(repeats.next_due(), kNever);
  keep(repeats, kRepeatsStart, packet_of(90, 77));  // there is room again
  EXPECT_EQ(repeats.front(kRepeatsStart + 1s)->bytes[0], 77);
}

TEST(Repeats, take_no_more_than_their_share) {
  Repeats repeats;
  std::size_t bytes = 0;
  Instant now = kRepeatsStart;
  for (int i = 0; i < 10'000; ++i, now += 1ms) {
    keep(repeats, now, packet_of(1452), 80ms, 1 + i % 2);
    for (; const auto copy = repeats.front(now); repeats.end_front(now)) {
      bytes += copy->bytes.size();
    }
  }
  EXPECT_GT(bytes, 9 * limits::kRepeatedBytesPerSecond);
  EXPECT_LT(bytes, 12 * limits::kRepeatedBytesPerSecond);
}

TEST(PathLoss, is_supposed_until_some_hundred_packets_have_shown_otherwise) {
  PathLoss loss;
  EXPECT_EQ(loss.copies(), 1U);
  loss.on_delivered(300);
  EXPECT_EQ(loss.copies(), 1U);
  for (int i = 0; i < 1500; ++i) loss.on_delivered(1);
  EXPECT_EQ(loss.copies(), 0U);
  loss.on_lost();
  EXPECT_EQ(loss.copies(), 1U);
  for (int i = 0; i < 600; ++i) loss.on_delivered(1);
  EXPECT_EQ(loss.copies(), 0U);
}

TEST(PathLoss, is_never_forgotten_where_a_packet_in_two_hundred_is_lost) {
  PathLoss loss;
  for (int i = 0; i < 100; ++i) {
    loss.on_delivered(199);
    EXPECT_EQ(loss.copies(), 1U) << i;
    loss.on_lost();
  }
}

TEST(PathLoss, of_two_packets_in_a_hundred_asks_for_two_copies) {
  PathLoss loss;
  for (int i = 0; i < 100; ++i) {
    if (i > 10) {
      EXPECT_EQ(loss.copies(), 2U) << i;
    }
    loss.on_delivered(49);
    loss.on_lost();
  }
}

TEST(PathLoss, is_not_unlearnt_by_packets_whose_copies_hide_it) {
  PathLoss loss;
  for (int i = 0; i < 20; ++i) {
    loss.on_delivered(49);
    loss.on_lost();
  }
  ASSERT_EQ(loss.copies(), 2U);
  for (int i = 0; i < 5'000; ++i) loss.on_delivered(0, 1);
  EXPECT_GE(loss.copies(), 1U);
  for (int i = 0; i < 50'000; ++i) loss.on_delivered(0, 1);
  EXPECT_EQ(loss.copies(), 0U);
}

TEST(PathLoss, is_not_made_of_packets_that_were_only_late) {
  PathLoss loss;
  loss.on_delivered(5'000);
  for (int i = 0; i < 100; ++i) {
    loss.on_lost();
    loss.on_found();
    loss.on_delivered(1);
  }
  EXPECT_EQ(loss.copies(), 0U);
}

}  // namespace
}  // namespace culvert::congestion
