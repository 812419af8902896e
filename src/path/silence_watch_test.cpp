#include "path/silence_watch.h"

#include <gtest/gtest.h>

namespace culvert::path {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using News = SilenceWatch::News;

constexpr Duration kPatience = milliseconds(300);

// A connection as it is seen, and its watch.
struct Watched {
  Watched() { watch.begin(now); }
  News look() {
    now += watch.next_look(kPatience);
    return watch.look(now, life, kPatience);
  }
  SilenceWatch watch;
  Instant now{seconds(100)};
  SignsOfLife life{.probe_timeout = milliseconds(50)};
};

TEST(SilenceWatch, is_silent_when_an_answer_is_owed_for_too_long) {
  Watched watched;
  watched.life.bytes_in_flight = 1000;
  const Instant begun = watched.now;
  News news = News::none;
  while (news == News::none) news = watched.look();
  EXPECT_EQ(news, News::silent);
  EXPECT_GE(watched.now - begun, kPatience);
  EXPECT_LE(watched.now - begun, 3 * kPatience);
  watched.life.packets_received = 1;
  EXPECT_EQ(watched.look(), News::alive_again);
}

TEST(SilenceWatch, waits_for_three_probe_timeouts_where_they_are_longer) {
  Watched watched;
  watched.life = {.bytes_in_flight = 1000, .probe_timeout = seconds(1)};
  const Instant begun = watched.now;
  while (watched.look() == News::none) {
  }
  EXPECT_GE(watched.now - begun, seconds(3));
}

TEST(SilenceWatch, says_once_that_a_peer_has_stopped_sending) {
  Watched watched;
  for (int i = 0; i < 3; ++i) {
    watched.life.packets_received += 200;
    EXPECT_EQ(watched.look(), News::none);
  }
  EXPECT_EQ(watched.look(), News::pause);
  // It was asked, and has answered. From then on nothing moves, but for keep-alives.
  watched.life.packets_received += 1;
  for (int i = 0; i < 100; ++i) {
    if (i % 17 == 5) watched.life.packets_received += 2;
    EXPECT_EQ(watched.look(), News::none) << i;
  }
}

TEST(SilenceWatch, need_not_ask_whom_it_has_asked_already) {
  Watched watched;
  watched.life.packets_received = 200;
  watched.life.bytes_in_flight = 1000;
  EXPECT_EQ(watched.look(), News::none);
  News news = News::none;
  while (news == News::none) news = watched.look();
  EXPECT_EQ(news, News::silent);
}

}  // namespace
}  // namespace culvert::path
