#include "drive/datagram_kind.h"

#include <gtest/gtest.h>

namespace culvert::drive {
namespace {

// A Binding request of RFC 8489: type, length 0, cookie, transaction id.
Bytes stun_message(std::uint8_t type_high, std::uint8_t type_low, std::uint8_t first_of_id) {
  Bytes bytes{type_high, type_low, 0, 0, 0x21, 0x12, 0xA4, 0x42, first_of_id};
  bytes.resize(kStunHeaderBytes);
  return bytes;
}

TEST(DatagramKind, knows_stun_by_two_zero_bits_and_its_cookie) {
  EXPECT_EQ(datagram_kind_of(stun_message(0, 1, 0), false), DatagramKind::stun);
  EXPECT_EQ(datagram_kind_of(stun_message(1, 1, 0), false), DatagramKind::stun);
  EXPECT_EQ(datagram_kind_of(stun_message(3, 0xff, 0), true), DatagramKind::stun);
  for (std::size_t at = 4; at < 8; ++at) {
    Bytes other = stun_message(0, 1, 0);
    other[at] ^= 1;
    EXPECT_EQ(datagram_kind_of(other, false), DatagramKind::quic) << at;
  }
  for (std::size_t size = 0; size < kStunHeaderBytes; ++size) {
    Bytes shorter = stun_message(0, 1, 0);
    shorter.resize(size);
    EXPECT_EQ(datagram_kind_of(shorter, false), DatagramKind::quic) << size;
  }
  Bytes uneven = stun_message(0, 1, 0);
  uneven.resize(kStunHeaderBytes + 1);
  EXPECT_EQ(datagram_kind_of(uneven, false), DatagramKind::quic);
}

// Whatever QUIC may begin with stays QUIC's: only a server that we asked sends ChannelData.
TEST(DatagramKind, gives_quic_all_that_may_be_quic) {
  for (unsigned first = 4; first < 256; ++first) {
    Bytes bytes = stun_message(0, 1, 0);
    bytes[0] = static_cast<std::uint8_t>(first);
    EXPECT_EQ(datagram_kind_of(bytes, false), DatagramKind::quic) << first;
    const bool is_channel = first >= 64 && first < 80;
    EXPECT_EQ(datagram_kind_of(bytes, true),
              is_channel ? DatagramKind::turn_data : DatagramKind::quic)
        << first;
  }
}

TEST(DatagramKind, names_the_worker_that_asked) {
  EXPECT_EQ(worker_of_stun_answer(stun_message(0x01, 0x01, 7)), 7);  // success
  EXPECT_EQ(worker_of_stun_answer(stun_message(0x01, 0x11, 9)), 9);  // error
  EXPECT_FALSE(worker_of_stun_answer(stun_message(0x00, 0x01, 7)));  // request
  EXPECT_FALSE(worker_of_stun_answer(stun_message(0x00, 0x17, 7)));  // indication
}

}  // namespace
}  // namespace culvert::drive
