#include "quic/connection_life.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

using State = ConnectionLife::State;

constexpr Instant kLifeStart(std::chrono::seconds(100));
constexpr Instant kDrainedAt = kLifeStart + std::chrono::milliseconds(300);
const Bytes kLastWord{1, 2, 3};

TEST(ConnectionLife, closes_and_repeats_its_last_word_until_it_is_drained) {
  ConnectionLife life;
  EXPECT_TRUE(life.is_open());
  life.begin_close(kDrainedAt);
  EXPECT_TRUE(life.must_close());
  life.on_received();
  EXPECT_FALSE(life.is_close_due()) << "it was never written";
  life.on_close_written({}, kLastWord);
  EXPECT_EQ(life.state(), State::closing);
  EXPECT_FALSE(life.is_close_due());
  life.on_received();
  EXPECT_TRUE(life.is_close_due());
  EXPECT_EQ(life.next_timeout(), kDrainedAt);
  life.handle_timeout(kDrainedAt - Duration(1));
  EXPECT_FALSE(life.is_drained());
  life.handle_timeout(kDrainedAt);
  EXPECT_TRUE(life.is_drained());
  EXPECT_EQ(life.next_timeout(), kNever);
}

TEST(ConnectionLife, says_nothing_to_a_peer_that_has_closed) {
  ConnectionLife life;
  life.begin_drain(kDrainedAt);
  life.on_received();
  EXPECT_FALSE(life.is_close_due());
  EXPECT_FALSE(life.must_close());
  life.handle_timeout(kDrainedAt);
  EXPECT_TRUE(life.is_drained());
}

TEST(ConnectionLife, is_drained_with_its_one_word_when_it_is_displaced) {
  ConnectionLife life;
  EXPECT_TRUE(life.displace());
  life.begin_close(kDrainedAt);
  life.on_close_written({}, kLastWord);
  EXPECT_TRUE(life.is_drained());

  ConnectionLife closing;
  closing.begin_close(kDrainedAt);
  EXPECT_FALSE(closing.displace()) << "that word is to be said anyway";
  EXPECT_TRUE(closing.must_close());
  closing.on_close_written({}, kLastWord);
  EXPECT_TRUE(closing.is_drained());

  ConnectionLife draining;
  draining.begin_drain(kDrainedAt);
  EXPECT_FALSE(draining.displace());
  EXPECT_TRUE(draining.is_drained());
}

TEST(ConnectionLife, ends_at_once_where_it_has_not_begun) {
  ConnectionLife dropped;
  dropped.drop();
  EXPECT_TRUE(dropped.was_dropped() && dropped.is_drained() && !dropped.wants_retry());
  ConnectionLife asked;
  asked.want_retry();
  EXPECT_TRUE(asked.wants_retry() && asked.is_drained() && !asked.was_dropped());
}

}  // namespace
}  // namespace culvert::quic
