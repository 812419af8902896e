#include "tunnel/happy_eyeballs.h"

#include "base/limits.h"

#include <gtest/gtest.h>

namespace culvert::tunnel {
namespace {

using std::chrono::milliseconds;
constexpr Instant kStart{std::chrono::seconds(1)};

std::vector<SocketAddress> some(std::uint16_t count) {
  std::vector<SocketAddress> addresses;
  for (std::uint16_t i = 0; i < count; ++i) {
    addresses.push_back({IpAddress::v4(0xc0000201U + i), 80});
  }
  return addresses;
}
const Error kRefused{ErrorKind::unreachable, "connection refused", {}};
const Error kNoRoute{ErrorKind::unreachable, "no route to host", {}};

TEST(HappyEyeballs, begins_one_attempt_every_quarter_second) {
  HappyEyeballs race(some(3), kStart);
  EXPECT_EQ(race.poll_attempt(kStart), 0U);
  EXPECT_EQ(race.poll_attempt(kStart), std::nullopt);
  EXPECT_EQ(race.next_timeout(), kStart + limits::kHappyEyeballsDelay);
  EXPECT_EQ(race.poll_attempt(kStart + milliseconds(249)), std::nullopt);
  EXPECT_EQ(race.poll_attempt(kStart + milliseconds(250)), 1U);
  EXPECT_EQ(race.poll_attempt(kStart + milliseconds(500)), 2U);
  EXPECT_EQ(race.next_timeout(), kStart + limits::kDialTimeout);
}

TEST(HappyEyeballs, tries_the_next_at_once_after_a_failure) {
  HappyEyeballs race(some(2), kStart);
  EXPECT_EQ(race.poll_attempt(kStart), 0U);
  race.handle_failure(0, kNoRoute);
  EXPECT_EQ(race.poll_attempt(kStart + milliseconds(1)), 1U);
  EXPECT_FALSE(race.is_exhausted(kStart + milliseconds(1)));
  race.handle_failure(1, kRefused);
  EXPECT_TRUE(race.is_exhausted(kStart + milliseconds(2)));
  EXPECT_FALSE(race.is_refused());
  const std::string text = race.error(kStart).text();
  EXPECT_EQ(text, "192.0.2.1:80: no route to host; 192.0.2.2:80: connection refused");
}

TEST(HappyEyeballs, gives_up_when_the_time_is_over) {
  HappyEyeballs race(some(1), kStart);
  EXPECT_EQ(race.poll_attempt(kStart), 0U);
  EXPECT_FALSE(race.is_exhausted(kStart + limits::kDialTimeout - Duration(1)));
  EXPECT_TRUE(race.is_exhausted(kStart + limits::kDialTimeout));
  EXPECT_EQ(race.error(kStart + limits::kDialTimeout).text(), "192.0.2.1:80: timed out");
  EXPECT_EQ(race.error(kStart).kind, ErrorKind::unreachable);
}

TEST(HappyEyeballs, knows_when_all_said_no) {
  HappyEyeballs race(some(2), kStart);
  (void)race.poll_attempt(kStart);
  race.handle_failure(0, kRefused);
  race.handle_failure(0, kNoRoute);  // a second word changes nothing
  (void)race.poll_attempt(kStart);
  race.handle_failure(1, kRefused);
  EXPECT_TRUE(race.is_refused());
}

}  // namespace
}  // namespace culvert::tunnel
