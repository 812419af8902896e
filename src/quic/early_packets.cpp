#include "quic/early_packets.h"

#include "base/limits.h"

#include <ngtcp2/ngtcp2.h>

#include <utility>

namespace culvert::quic {
namespace {

// The size of the packet with a long header that `datagram` begins with (RFC 9000 17.2, RFC 9369
// 3.2). One that has no length, or cannot be read, takes all there is: so it does for ngtcp2.
std::size_t long_packet_size(ByteView datagram) {
  constexpr unsigned kTypes = 4;
  ByteReader reader(datagram);
  const auto first = reader.u8();
  const auto version = reader.u32();
  if (!first || !version) return datagram.size();
  const bool is_v2 = *version == NGTCP2_PROTO_VER_V2;
  if (!is_v2 && *version != NGTCP2_PROTO_VER_V1) return datagram.size();
  // Version 2 counts from Retry on.
  const unsigned type = ((*first >> 4U) + (is_v2 ? kTypes - 1 : 0)) % kTypes;
  constexpr unsigned kInitial = 0;
  constexpr unsigned kRetry = 3;
  if (type == kRetry) return datagram.size();
  for (int id = 0; id < 2; ++id) {
    const auto size = reader.u8();
    if (!size || !reader.take(*size)) return datagram.size();
  }
  if (type == kInitial) {
    const auto token = reader.varint();
    if (!token || *token > datagram.size() || !reader.take(static_cast<std::size_t>(*token))) {
      return datagram.size();
    }
  }
  const auto size = reader.varint();
  if (!size || *size > datagram.size() || !reader.take(static_cast<std::size_t>(*size))) {
    return datagram.size();
  }
  return datagram.size() - reader.rest().size();
}

}  // namespace

std::size_t handshake_part(ByteView datagram) {
  constexpr std::uint8_t kLongHeader = 0x80;
  std::size_t size = 0;
  while (size < datagram.size() && (datagram[size] & kLongHeader) != 0) {
    size += long_packet_size(datagram.subspan(size));
  }
  return size;
}

ByteView EarlyPackets::hold(const PathId& path, Ecn ecn, ByteView datagram) {
  const std::size_t size = handshake_part(datagram);
  const ByteView early = datagram.subspan(size);
  const std::size_t held = sizeof(Packet) + early.size();
  if (!early.empty() && bytes_ + held <= limits::kEarlyPacketBytes) {
    bytes_ += held;
    packets_.push_back({.path = path, .ecn = ecn, .bytes = Bytes(early.begin(), early.end())});
  }
  return datagram.first(size);
}

std::vector<EarlyPackets::Packet> EarlyPackets::take() {
  bytes_ = 0;
  return std::exchange(packets_, {});
}

}  // namespace culvert::quic
