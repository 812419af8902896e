#include "quic/sockaddr.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

TEST(Sockaddr, paths_survive_the_way_through_ngtcp2) {
  const std::vector<PathId> paths{
      {.local = {IpAddress::v4(0xC0000201), 1}, .remote = {IpAddress::v4(0x0A0B0C0D), 65'535}},
      {.local = *SocketAddress::parse("[2001:db8::1]:443"),
       .remote = *SocketAddress::parse("[fe80::2%7]:4433")},
      {.local = {IpAddress::any(Family::v6), 0}, .remote = {IpAddress::loopback(Family::v6), 9}},
  };
  for (const PathId& path : paths) {
    const PathStorage storage(path);
    EXPECT_EQ(to_path_id(*storage.path()), path);
  }
}

TEST(Sockaddr, remembered_path_follows_its_value) {
  PathStorage storage;
  const PathId a{.local = {IpAddress::v4(1), 1}, .remote = {IpAddress::v4(2), 2}};
  const PathId b{.local = {IpAddress::v4(1), 1}, .remote = {IpAddress::v4(2), 3}};
  EXPECT_EQ(to_path_id(*storage.get(a)), a);
  EXPECT_EQ(to_path_id(*storage.get(b)), b);
  EXPECT_EQ(to_path_id(*storage.get(a)), a);
}

TEST(Sockaddr, the_far_future_is_never) {
  EXPECT_EQ(to_instant(UINT64_MAX), kNever);
  const Instant instant{std::chrono::seconds(5)};
  EXPECT_EQ(to_instant(to_timestamp(instant)), instant);
}

}  // namespace
}  // namespace culvert::quic
