#include "peer/peer_addresses.h"

#include "ports/null_host.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>

namespace culvert::peer {
namespace {

struct CountingOwner final : PeerAddressesOwner {
  void on_addresses(Instant) override { ++told; }
  int told = 0;
};

// The owner is being made itself then. Memory that was used before is not empty.
TEST(PeerAddresses, tell_their_owner_nothing_while_they_begin) {
  NullHost host;
  CountingOwner owner;
  const SocketAddress address{IpAddress::v4(0xC0000201), 4433};
  alignas(PeerAddresses) std::array<std::uint8_t, sizeof(PeerAddresses)> memory;
  memory.fill(0xFF);
  auto* addresses =
      std::construct_at(reinterpret_cast<PeerAddresses*>(memory.data()), host, null_logger(),
                        nullptr, PeerQuery{.peer = {}, .addresses = {address, address}}, owner);
  EXPECT_EQ(owner.told, 0);
  ASSERT_EQ(addresses->candidates().size(), 1U);
  EXPECT_EQ(addresses->candidates()[0].remote, address);
  EXPECT_FALSE(addresses->is_searching());
  std::destroy_at(addresses);
}

}  // namespace
}  // namespace culvert::peer
