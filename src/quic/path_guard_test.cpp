#include "quic/path_guard.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kPathRoundTrip = milliseconds(40);

PathId path_of(std::uint8_t host) {
  return {.local = {IpAddress::v4(0x0A000001), 4433},
          .remote = {IpAddress::v4(0x0A000000U + host), 50'000}};
}

const PathId kHome = path_of(2);
const PathId kElsewhere = path_of(66);

// A packet with a short header: a connection id, a number, and what tells it from all others.
Bytes packet(std::uint8_t id, std::uint8_t number) {
  Bytes bytes(40, number);
  bytes[0] = 0x40;
  std::fill(bytes.begin() + 1, bytes.begin() + 11, id);
  return bytes;
}

class PathGuardTest : public ::testing::Test {
 protected:
  PathGuardTest() {
    guard_.set_home(kHome);
    EXPECT_EQ(judge(kHome, packet(1, 0)), kHome);
  }
  std::optional<PathId> judge(const PathId& path, const Bytes& bytes) {
    return guard_.judge(now_, kPathRoundTrip, path, Ecn::not_ect, bytes);
  }
  // Where those that waited come from; empty: none is to be taken.
  std::vector<PathId> taken() {
    std::vector<PathId> paths;
    if (!guard_.has_some_to_take(now_)) return paths;
    for (const PathGuard::Datagram& datagram : guard_.take()) paths.push_back(datagram.path);
    return paths;
  }

  PathGuard guard_;
  Instant now_{seconds(1)};
};

TEST_F(PathGuardTest, a_copy_that_comes_first_is_taken_for_the_clients_own) {
  EXPECT_EQ(judge(kElsewhere, packet(1, 1)), std::nullopt);
  EXPECT_TRUE(taken().empty());
  now_ += milliseconds(10);
  EXPECT_EQ(judge(kHome, packet(1, 1)), kHome);
  EXPECT_EQ(taken(), std::vector{kHome});
  for (std::uint8_t i = 2; i < 200; ++i) {  // and from now on at once
    now_ += milliseconds(20);
    EXPECT_EQ(judge(kElsewhere, packet(1, i)), kHome);
    EXPECT_EQ(judge(kHome, packet(1, i)), kHome);
  }
  EXPECT_EQ(guard_.next_due(), kNever);
}

TEST_F(PathGuardTest, a_copy_to_another_address_of_ours_is_one_as_well) {
  const PathId to_another{.local = {IpAddress::v4(0x0A000009), 4433}, .remote = kHome.remote};
  EXPECT_EQ(judge(to_another, packet(1, 1)), std::nullopt);
  now_ += milliseconds(10);
  EXPECT_EQ(judge(kHome, packet(1, 1)), kHome);
  EXPECT_EQ(taken(), std::vector{kHome});
  EXPECT_EQ(judge(to_another, packet(1, 2)), kHome);
  EXPECT_EQ(judge(to_another, packet(7, 3)), to_another) << "that is the client's own wish";
}

TEST_F(PathGuardTest, a_client_that_moved_unawares_is_believed_after_half_a_round_trip) {
  EXPECT_EQ(judge(kElsewhere, packet(1, 1)), std::nullopt);
  EXPECT_EQ(judge(kElsewhere, packet(1, 2)), std::nullopt);
  EXPECT_EQ(guard_.next_due(), now_ + kPathRoundTrip / 2);
  now_ = guard_.next_due();
  EXPECT_EQ(taken(), (std::vector{kElsewhere, kElsewhere}));
  EXPECT_EQ(judge(kElsewhere, packet(1, 3)), kElsewhere);
  guard_.set_home(kElsewhere);
  EXPECT_EQ(judge(kElsewhere, packet(1, 4)), kElsewhere);
}

TEST_F(PathGuardTest, one_that_moves_by_itself_is_believed_at_once) {
  EXPECT_EQ(judge(kElsewhere, packet(7, 1)), kElsewhere);
  EXPECT_EQ(judge(kHome, packet(1, 2)), kHome);  // both paths are in use for a while
  EXPECT_EQ(judge(kElsewhere, packet(7, 3)), kElsewhere);
}

TEST_F(PathGuardTest, a_client_that_was_thought_to_have_moved_is_believed_to_be_back) {
  EXPECT_EQ(judge(kElsewhere, packet(1, 1)), std::nullopt);
  now_ = guard_.next_due();
  EXPECT_EQ(taken(), std::vector{kElsewhere});
  EXPECT_EQ(judge(kElsewhere, packet(1, 2)), kElsewhere);
  now_ += milliseconds(30);  // its packets come, later than was waited for
  EXPECT_EQ(judge(kHome, packet(1, 2)), kHome);
  EXPECT_EQ(judge(kElsewhere, packet(1, 3)), kHome);
}

TEST_F(PathGuardTest, other_packets_from_home_do_not_vouch_for_copies) {
  EXPECT_EQ(judge(kElsewhere, packet(1, 1)), std::nullopt);
  EXPECT_EQ(judge(kHome, packet(1, 9)), kHome);
  EXPECT_TRUE(taken().empty());
  now_ = guard_.next_due();
  EXPECT_EQ(taken(), std::vector{kElsewhere});
}

TEST_F(PathGuardTest, holds_only_so_many) {
  std::size_t held = 0;
  while (taken().empty()) {
    ASSERT_EQ(judge(kElsewhere, packet(1, static_cast<std::uint8_t>(held))), std::nullopt);
    ASSERT_LE(++held, 128U);
  }
  EXPECT_EQ(held, 128U);
}

TEST_F(PathGuardTest, holds_only_so_many_bytes) {
  std::size_t held = 0;
  while (taken().empty()) {
    Bytes large = packet(1, static_cast<std::uint8_t>(held));
    large.resize(60'000, 1);
    ASSERT_EQ(judge(kElsewhere, large), std::nullopt);
    ASSERT_LE(++held, 5U);
  }
  EXPECT_EQ(held, 5U);
  EXPECT_EQ(judge(kElsewhere, packet(2, 1)), kElsewhere);
  guard_.set_home(kElsewhere);
  guard_.set_home(kHome);
  judge(kHome, packet(1, 0));
  EXPECT_EQ(judge(kElsewhere, packet(1, 1)), std::nullopt);  // counts from the beginning again
  EXPECT_TRUE(taken().empty());
}

TEST_F(PathGuardTest, lets_pass_what_is_no_packet_of_an_open_connection) {
  for (std::size_t size = 0; size < 19; ++size) {
    EXPECT_EQ(judge(kElsewhere, Bytes(size, 0x40)), kElsewhere) << size;
  }
  EXPECT_EQ(judge(kElsewhere, Bytes(100, 0xC0)), kElsewhere);
}

}  // namespace
}  // namespace culvert::quic
