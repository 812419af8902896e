#include "base/mapped_address.h"

#include "base/limits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

namespace culvert {
namespace {

Bytes peer(std::size_t number) {
  const std::string text = "relay.example/" + std::to_string(number);
  return {text.begin(), text.end()};
}

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

TEST(MappedAddress, tells_the_kind_by_the_address_alone) {
  for (const char* text : {"192.0.2.1", "::1", "fd00::1", "fe80::1", "2001:db8::1", "::"}) {
    EXPECT_EQ(path_kind_of(ip(text)), PathKind::direct) << text;
  }
  MappedAddresses relay(PathKind::relay);
  MappedAddresses turn(PathKind::turn);
  EXPECT_EQ(path_kind_of(relay.map(peer(1))->ip), PathKind::relay);
  EXPECT_EQ(path_kind_of(turn.map(peer(1))->ip), PathKind::turn);
}

// Else a stranger could name one that leads to a socket.
TEST(MappedAddress, takes_all_of_its_prefix_for_no_address_of_a_wire) {
  MappedAddresses relay(PathKind::relay);
  const IpAddress mapped = relay.map(peer(1))->ip;
  const ByteView bytes = mapped.bytes();
  for (std::size_t at = 6; at < bytes.size(); ++at) {
    for (const std::uint8_t value : {0x00, 0x01, 0x02, 0x03, 0x7f, 0xff}) {
      std::array<std::uint8_t, 16> other{};
      std::ranges::copy(bytes, other.begin());
      other[at] = value;
      EXPECT_NE(path_kind_of(IpAddress::v6(other)), PathKind::direct) << at;
    }
  }
  for (std::size_t at = 0; at < 6; ++at) {
    std::array<std::uint8_t, 16> other{};
    std::ranges::copy(bytes, other.begin());
    other[at] ^= 0x01;
    EXPECT_EQ(path_kind_of(IpAddress::v6(other)), PathKind::direct) << at;
  }
}

TEST(MappedAddress, is_the_same_for_the_same_peer_and_no_other) {
  MappedAddresses relay(PathKind::relay);
  const SocketAddress first = *relay.map(peer(1));
  const SocketAddress second = *relay.map(peer(2));
  EXPECT_NE(first, second);
  EXPECT_EQ(*relay.map(peer(1)), first);
  EXPECT_EQ(Bytes(relay.peer_of(first)->begin(), relay.peer_of(first)->end()), peer(1));
  EXPECT_EQ(Bytes(relay.peer_of(second)->begin(), relay.peer_of(second)->end()), peer(2));
  EXPECT_FALSE(relay.peer_of({first.ip, 2}));
  EXPECT_FALSE(relay.peer_of({ip("2001:db8::1"), first.port}));
}

// What is still under way to one that is forgotten must not reach the next.
TEST(MappedAddress, is_never_given_twice) {
  MappedAddresses relay(PathKind::relay);
  std::set<SocketAddress> given;
  for (std::size_t i = 0; i < 100; ++i) {
    const SocketAddress address = *relay.map(peer(i % 3));
    EXPECT_TRUE(given.insert(address).second);
    relay.forget(address);
    EXPECT_FALSE(relay.peer_of(address));
    relay.forget(address);
  }
  EXPECT_EQ(relay.size(), 0U);
}

TEST(MappedAddress, has_a_bound) {
  MappedAddresses relay(PathKind::relay);
  for (std::size_t i = 0; i < limits::kMaxMappedAddresses; ++i) ASSERT_TRUE(relay.map(peer(i)));
  EXPECT_FALSE(relay.map(peer(limits::kMaxMappedAddresses)));
  const SocketAddress first = *relay.map(peer(0));
  relay.forget(first);
  EXPECT_TRUE(relay.map(peer(limits::kMaxMappedAddresses)));
}

}  // namespace
}  // namespace culvert
