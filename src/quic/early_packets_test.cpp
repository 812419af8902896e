#include "quic/early_packets.h"

#include "base/limits.h"
#include "base/rng.h"

#include <gtest/gtest.h>

#include <tuple>

namespace culvert::quic {
namespace {

Bytes long_packet(std::uint8_t first, std::uint32_t version, std::size_t payload) {
  const bool is_initial = version == 1 ? (first & 0x30U) == 0 : (first & 0x30U) == 0x10;
  Bytes packet;
  ByteWriter writer(packet);
  writer.u8(first);
  writer.u32(version);
  writer.u8(2);
  writer.raw(Bytes{1, 2});
  writer.u8(3);
  writer.raw(Bytes{1, 2, 3});
  if (is_initial) {
    writer.varint(70);
    writer.raw(Bytes(70, 9));
  }
  writer.varint(payload);
  writer.raw(Bytes(payload, 0x40));
  return packet;
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

constexpr std::uint32_t kVersion2 = 0x6B3343CF;

TEST(EarlyPackets, tells_the_handshake_from_what_follows) {
  const Bytes early(50, 0x41);
  for (const auto& [initial, handshake, version] :
       {std::tuple(0xC0, 0xE0, 1U), std::tuple(0xD0, 0xF0, kVersion2)}) {
    const Bytes both = long_packet(static_cast<std::uint8_t>(initial), version, 100) +
                       long_packet(static_cast<std::uint8_t>(handshake), version, 200);
    EXPECT_EQ(handshake_part(both), both.size());
    EXPECT_EQ(handshake_part(both + early), both.size());
  }
  EXPECT_EQ(handshake_part(early), 0U);
  EXPECT_EQ(handshake_part({}), 0U);
}

// Retry and Version Negotiation have no length.
TEST(EarlyPackets, leaves_alone_what_has_no_length) {
  const Bytes early(50, 0x41);
  for (const Bytes& packet : {long_packet(0xF0, 1, 20), long_packet(0xC0, kVersion2, 20),
                              long_packet(0x80, 0, 20), long_packet(0xC0, 77, 20)}) {
    EXPECT_EQ(handshake_part(packet + early), packet.size() + early.size());
  }
}

TEST(EarlyPackets, survives_any_bytes) {
  const Bytes whole = long_packet(0xC0, 1, 100) + long_packet(0xE0, 1, 30) + Bytes(10, 0x40);
  SeededRng rng(5);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    EXPECT_LE(handshake_part(ByteView(whole).first(size)), size);
    for (int i = 0; i < 20; ++i) {
      Bytes bent(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      if (!bent.empty()) bent[rng.below(size)] = static_cast<std::uint8_t>(rng.below(256));
      EXPECT_LE(handshake_part(bent), size);
    }
  }
}

TEST(EarlyPackets, keeps_so_much_and_no_more) {
  EarlyPackets packets;
  const Bytes handshake = long_packet(0xE0, 1, 30);
  std::size_t sent = 0;
  for (; sent < 2 * limits::kEarlyPacketBytes; sent += 1000) {
    const Bytes datagram = handshake + Bytes(1000, 0x40);
    EXPECT_EQ(packets.hold({}, Ecn::ect0, datagram).size(), handshake.size());
  }
  std::size_t kept = 0;
  for (const EarlyPackets::Packet& packet : packets.take()) {
    EXPECT_EQ(packet.ecn, Ecn::ect0);
    kept += packet.bytes.size();
  }
  EXPECT_LE(kept, limits::kEarlyPacketBytes);
  EXPECT_GT(kept, limits::kEarlyPacketBytes * 3 / 4);
  EXPECT_TRUE(packets.is_empty());
  EXPECT_EQ(packets.hold({}, Ecn::ect0, Bytes(1000, 0x40)).size(), 0U);
  EXPECT_FALSE(packets.is_empty());  // there is room again
}

// Who sends single bytes makes a client hold no more.
TEST(EarlyPackets, counts_what_keeping_them_takes) {
  EarlyPackets packets;
  for (std::size_t i = 0; i < limits::kEarlyPacketBytes; ++i) {
    EXPECT_TRUE(packets.hold({}, Ecn::ect0, Bytes(1, 0x40)).empty());
  }
  const std::size_t count = packets.take().size();
  EXPECT_GT(count, 0U);
  EXPECT_LE(count * sizeof(EarlyPackets::Packet), limits::kEarlyPacketBytes);
}

}  // namespace
}  // namespace culvert::quic
