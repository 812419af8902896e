#include "quic/connection_paths.h"

#include <gtest/gtest.h>

namespace culvert::quic {
namespace {

const SocketAddress kOurs{IpAddress::v4(0x0A000001), 4433};
const SocketAddress kAnyOfOurs{IpAddress::v4(0), 4433};
const SocketAddress kPeers{IpAddress::v4(0x0A000002), 50'000};

TEST(ConnectionPaths, takes_what_arrives_for_what_it_was_told) {
  ConnectionPaths paths;
  const PathId path{.local = kOurs, .remote = kPeers};
  paths.names().begin(path);
  EXPECT_EQ(to_path_id(*paths.arrival(path)), path);
}

TEST(ConnectionPaths, knows_its_own_address_no_better_than_it_was_told) {
  ConnectionPaths paths;
  paths.names().begin({.local = kAnyOfOurs, .remote = kPeers});
  EXPECT_EQ(to_path_id(*paths.arrival({.local = kOurs, .remote = kPeers})),
            (PathId{.local = kAnyOfOurs, .remote = kPeers}));
  const PathId other_port{.local = {kOurs.ip, 4434}, .remote = kPeers};
  EXPECT_EQ(to_path_id(*paths.arrival(other_port)), other_port);
}

TEST(ConnectionPaths, knows_where_the_last_packet_went) {
  ConnectionPaths paths;
  for (const std::uint16_t port : {1000, 2000, 2000}) {
    const PathId path{.local = kOurs, .remote = {kPeers.ip, port}};
    ngtcp2_path_copy(paths.departure(), PathStorage(path).path());
    EXPECT_EQ(paths.note_sent(), path);
    EXPECT_EQ(paths.last_sent(), path);
  }
}

}  // namespace
}  // namespace culvert::quic
