#include "session/stripe_scheduler.h"

#include "session/chunk_frames.h"

#include <gtest/gtest.h>

namespace culvert::session {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kScheduleStart{seconds(1)};
constexpr Duration kPatience = milliseconds(100);

// A leg and how far its stream has got.
struct Leg {
  LegId id;
  std::uint64_t end = 0;
};

class StripeSchedulerTest : public testing::Test {
 protected:
  void begin(Multipath mode, std::uint64_t bytes, std::uint64_t window = 1 << 20) {
    scheduler_.emplace(mode);
    scheduler_->set_window(window);
    scheduler_->set_end(bytes, false);
    for (Leg& leg : legs_) leg.id = *scheduler_->add_leg();
  }
  std::optional<ChunkRange> send(Leg& leg, std::size_t max_bytes = 100) {
    const auto range = scheduler_->next(now_, leg.id, max_bytes, kPatience);
    if (range) {
      leg.end += range->length + 1;
      scheduler_->queued(leg.id, leg.end);
    }
    return range;
  }
  void acknowledge(const Leg& leg) { scheduler_->acknowledged(leg.id, leg.end); }

  Instant now_ = kScheduleStart;
  std::optional<StripeScheduler> scheduler_;
  std::array<Leg, 2> legs_{};
};

TEST_F(StripeSchedulerTest, spreads_new_bytes_over_the_legs) {
  begin(Multipath::aggregate, 250);
  EXPECT_EQ(send(legs_[0])->offset, 0U);
  EXPECT_EQ(send(legs_[1])->offset, 100U);
  const auto last = send(legs_[0]);
  EXPECT_EQ(last->offset, 200U);
  EXPECT_EQ(last->length, 50U);
  EXPECT_FALSE(send(legs_[1]));
  // The second leg's bytes come after those of the first.
  acknowledge(legs_[1]);
  EXPECT_EQ(scheduler_->delivered(), 0U);
  acknowledge(legs_[0]);
  EXPECT_EQ(scheduler_->delivered(), 250U);
  EXPECT_EQ(scheduler_->repeated_bytes(), 0U);
}

TEST_F(StripeSchedulerTest, stops_at_the_window) {
  begin(Multipath::aggregate, 1'000, 150);
  EXPECT_EQ(send(legs_[0])->length, 100U);
  EXPECT_EQ(send(legs_[0])->length, 50U);
  EXPECT_FALSE(send(legs_[0]));
  scheduler_->set_window(200);
  scheduler_->set_window(10);  // came late
  EXPECT_EQ(send(legs_[0])->length, 50U);
}

TEST_F(StripeSchedulerTest, sends_again_what_was_lost_with_a_leg) {
  begin(Multipath::aggregate, 300);
  static_cast<void>(send(legs_[0]));
  static_cast<void>(send(legs_[1]));
  static_cast<void>(send(legs_[0]));
  scheduler_->remove_leg(legs_[0].id);
  EXPECT_EQ(send(legs_[1])->offset, 0U);
  EXPECT_EQ(send(legs_[1])->offset, 200U);
  EXPECT_FALSE(send(legs_[1]));
  acknowledge(legs_[1]);
  EXPECT_EQ(scheduler_->delivered(), 300U);
  EXPECT_EQ(scheduler_->repeated_bytes(), 200U);
}

TEST_F(StripeSchedulerTest, does_not_send_again_what_had_arrived_by_a_lost_leg) {
  begin(Multipath::aggregate, 300);
  static_cast<void>(send(legs_[0]));
  static_cast<void>(send(legs_[1]));
  acknowledge(legs_[1]);
  scheduler_->remove_leg(legs_[1].id);
  EXPECT_EQ(send(legs_[0])->offset, 200U);
  EXPECT_FALSE(send(legs_[0]));
}

TEST_F(StripeSchedulerTest, sends_what_is_late_over_another_leg) {
  begin(Multipath::aggregate, 200);
  static_cast<void>(send(legs_[0]));
  now_ += kPatience - milliseconds(1);
  EXPECT_EQ(send(legs_[1])->offset, 100U);
  now_ += milliseconds(1);
  EXPECT_EQ(send(legs_[1])->offset, 0U);
  EXPECT_FALSE(send(legs_[1]));  // once
  EXPECT_FALSE(send(legs_[0]));
}

// A full window is no time to be patient.
TEST_F(StripeSchedulerTest, helps_out_a_leg_that_holds_up_the_window) {
  begin(Multipath::aggregate, 1'000, 200);
  static_cast<void>(send(legs_[0]));
  static_cast<void>(send(legs_[1]));
  acknowledge(legs_[1]);
  const auto helped = send(legs_[1]);
  ASSERT_TRUE(helped);
  EXPECT_EQ(helped->offset, 0U);
  acknowledge(legs_[1]);
  EXPECT_EQ(scheduler_->delivered(), 200U);
}

TEST_F(StripeSchedulerTest, sends_everything_twice_when_redundant) {
  begin(Multipath::redundant, 200);
  EXPECT_EQ(send(legs_[0])->offset, 0U);
  EXPECT_EQ(send(legs_[0])->offset, 100U);
  EXPECT_EQ(send(legs_[1])->offset, 0U);
  EXPECT_EQ(send(legs_[1])->offset, 100U);
  EXPECT_FALSE(send(legs_[0]));
  EXPECT_FALSE(send(legs_[1]));
  acknowledge(legs_[1]);  // the first to arrive counts
  EXPECT_EQ(scheduler_->delivered(), 200U);
}

TEST_F(StripeSchedulerTest, leaves_out_copies_of_what_has_arrived) {
  begin(Multipath::redundant, 300);
  static_cast<void>(send(legs_[0]));
  static_cast<void>(send(legs_[0]));
  acknowledge(legs_[0]);
  static_cast<void>(send(legs_[0]));
  EXPECT_EQ(send(legs_[1])->offset, 200U);
}

TEST_F(StripeSchedulerTest, says_once_that_it_is_over) {
  begin(Multipath::aggregate, 50);
  scheduler_->set_end(50, true);
  EXPECT_EQ(send(legs_[0])->length, 50U);
  const auto end = send(legs_[0]);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->offset, 50U);
  EXPECT_EQ(end->length, 0U);
  EXPECT_FALSE(send(legs_[0]));
  EXPECT_FALSE(scheduler_->is_all_delivered());
  scheduler_->remove_leg(legs_[0].id);
  EXPECT_EQ(send(legs_[1])->length, 50U);
  EXPECT_EQ(send(legs_[1])->length, 0U);
  acknowledge(legs_[1]);
  EXPECT_TRUE(scheduler_->is_all_delivered());
}

TEST_F(StripeSchedulerTest, bounds_the_chunks_under_way) {
  begin(Multipath::aggregate, 1 << 20);
  std::size_t chunks = 0;
  while (send(legs_[0], 1)) ++chunks;
  EXPECT_EQ(chunks, StripeScheduler::kMaxChunks);
  EXPECT_TRUE(send(legs_[1]));  // it helps out
}

TEST_F(StripeSchedulerTest, has_a_bounded_number_of_legs) {
  begin(Multipath::aggregate, 0);
  for (std::size_t i = 2; i < StripeScheduler::kMaxLegs; ++i) EXPECT_TRUE(scheduler_->add_leg());
  EXPECT_FALSE(scheduler_->add_leg());
  scheduler_->remove_leg(3);
  EXPECT_EQ(scheduler_->add_leg(), LegId{3});
}

}  // namespace
}  // namespace culvert::session
