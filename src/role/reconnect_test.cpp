#include "role/reconnect.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::role {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{seconds(1)};

TEST(Reconnect, tries_at_once_and_then_ever_more_rarely) {
  SeededRng rng(1);
  Reconnect reconnect(rng, std::nullopt);
  EXPECT_EQ(reconnect.next_attempt(), kNever);
  EXPECT_FALSE(reconnect.is_active());
  reconnect.on_lost(kStart);
  EXPECT_EQ(reconnect.next_attempt(), kStart);
  Duration pause = milliseconds(250);
  for (int i = 0; i < 20; ++i) {
    reconnect.on_attempt(kStart);
    EXPECT_EQ(reconnect.next_attempt(), kNever);  // one at a time
    ASSERT_TRUE(reconnect.on_failed(kStart));
    EXPECT_GE(reconnect.next_attempt() - kStart, pause / 2);
    EXPECT_LE(reconnect.next_attempt() - kStart, pause);
    pause = std::min<Duration>(2 * pause, seconds(15));
  }
  EXPECT_EQ(reconnect.attempts(), 20U);
}

TEST(Reconnect, has_jitter) {
  SeededRng rng(1);
  std::vector<Instant> times;
  for (int i = 0; i < 2; ++i) {
    Reconnect reconnect(rng, std::nullopt);
    reconnect.on_lost(kStart);
    reconnect.on_attempt(kStart);
    ASSERT_TRUE(reconnect.on_failed(kStart));
    times.push_back(reconnect.next_attempt());
  }
  EXPECT_NE(times[0], times[1]);
}

TEST(Reconnect, begins_anew_after_success) {
  SeededRng rng(1);
  Reconnect reconnect(rng, std::nullopt);
  reconnect.on_lost(kStart);
  for (int i = 0; i < 8; ++i) {
    reconnect.on_attempt(kStart);
    ASSERT_TRUE(reconnect.on_failed(kStart));
  }
  reconnect.on_connected();
  EXPECT_FALSE(reconnect.is_active());
  EXPECT_EQ(reconnect.next_attempt(), kNever);
  reconnect.on_lost(kStart);
  reconnect.on_attempt(kStart);
  ASSERT_TRUE(reconnect.on_failed(kStart));
  EXPECT_LE(reconnect.next_attempt() - kStart, milliseconds(250));
}

TEST(Reconnect, does_not_wait_when_the_network_changes) {
  SeededRng rng(1);
  Reconnect reconnect(rng, std::nullopt);
  reconnect.on_network_changed(kStart);
  EXPECT_EQ(reconnect.next_attempt(), kNever);  // nothing was lost
  reconnect.on_lost(kStart);
  for (int i = 0; i < 8; ++i) {
    reconnect.on_attempt(kStart);
    ASSERT_TRUE(reconnect.on_failed(kStart));
  }
  const Instant later = kStart + seconds(1);
  reconnect.on_network_changed(later);
  EXPECT_EQ(reconnect.next_attempt(), later);
  reconnect.on_attempt(kStart);
  ASSERT_TRUE(reconnect.on_failed(later));
  EXPECT_LE(reconnect.next_attempt() - later, milliseconds(250));
}

TEST(Reconnect, waits_as_long_as_the_server_asks_even_then) {
  SeededRng rng(1);
  Reconnect reconnect(rng, std::nullopt);
  reconnect.on_lost(kStart);
  reconnect.on_attempt(kStart);
  ASSERT_TRUE(reconnect.on_failed(kStart, seconds(30)));
  EXPECT_EQ(reconnect.next_attempt(), kStart + seconds(30));
  reconnect.on_network_changed(kStart + seconds(1));
  EXPECT_EQ(reconnect.next_attempt(), kStart + seconds(30));
}

TEST(Reconnect, tries_at_once_when_somebody_wants_the_server) {
  SeededRng rng(1);
  Reconnect reconnect(rng, 9);
  reconnect.on_wanted(kStart);
  EXPECT_EQ(reconnect.next_attempt(), kNever) << "nothing was lost";
  reconnect.on_lost(kStart);
  for (int i = 0; i < 8; ++i) {
    reconnect.on_attempt(kStart);
    ASSERT_TRUE(reconnect.on_failed(kStart));
  }
  const Instant planned = reconnect.next_attempt();
  ASSERT_GT(planned, kStart + seconds(7));
  const Instant later = kStart + seconds(1);
  reconnect.on_wanted(later);
  EXPECT_EQ(reconnect.next_attempt(), later);
  reconnect.on_attempt(later);
  reconnect.on_wanted(later);
  EXPECT_EQ(reconnect.next_attempt(), kNever) << "one is under way";
  ASSERT_TRUE(reconnect.on_failed(later));
  EXPECT_EQ(reconnect.next_attempt(), planned) << "which was not put off";
  EXPECT_EQ(reconnect.attempts(), 8U);
  reconnect.on_wanted(later + milliseconds(1));
  EXPECT_EQ(reconnect.next_attempt(), later + limits::kReconnectDelayFirst) << "not in a flood";
  reconnect.on_attempt(later + seconds(1));
  ASSERT_TRUE(reconnect.on_failed(planned + seconds(1)));
  EXPECT_EQ(reconnect.next_attempt(), planned + seconds(1)) << "it is overdue";
  reconnect.on_attempt(planned + seconds(1));
  EXPECT_FALSE(reconnect.on_failed(planned + seconds(6))) << "that was the ninth";
}

TEST(Reconnect, waits_as_long_as_the_server_asks_whoever_wants_it) {
  SeededRng rng(1);
  Reconnect reconnect(rng, std::nullopt);
  reconnect.on_lost(kStart);
  reconnect.on_attempt(kStart);
  ASSERT_TRUE(reconnect.on_failed(kStart, seconds(30)));
  reconnect.on_wanted(kStart + seconds(1));
  EXPECT_EQ(reconnect.next_attempt(), kStart + seconds(30));
}

TEST(Reconnect, gives_up_after_so_many_failures_in_a_row) {
  SeededRng rng(1);
  Reconnect reconnect(rng, 2);
  reconnect.on_lost(kStart);
  reconnect.on_attempt(kStart);
  EXPECT_TRUE(reconnect.on_failed(kStart));
  reconnect.on_attempt(kStart);
  EXPECT_FALSE(reconnect.on_failed(kStart));
}

}  // namespace
}  // namespace culvert::role
