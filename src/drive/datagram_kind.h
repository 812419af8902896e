// What shares the UDP socket with QUIC is told apart by its first byte and its source (RFC 9443).
#pragma once

#include "base/bytes.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

namespace culvert::drive {

enum class DatagramKind : std::uint8_t { quic, stun, turn_data };

inline constexpr std::size_t kStunHeaderBytes = 20;

// RFC 8489 5: two zero bits, the length in words of four, the magic cookie. QUIC's first byte is 64
// or more, as long as nobody greases its bit (RFC 9287), which we never offer. ChannelData (RFC
// 8656 12.4) begins as QUIC's short headers do, so only a TURN server's is.
[[nodiscard]] inline DatagramKind datagram_kind_of(ByteView bytes, bool is_from_turn_server) {
  constexpr std::array<std::uint8_t, 4> kMagicCookie{0x21, 0x12, 0xA4, 0x42};
  constexpr std::uint8_t kStunBelow = 4;
  constexpr std::uint8_t kChannelsFrom = 64;
  constexpr std::uint8_t kChannelsBelow = 80;
  if (bytes.empty()) return DatagramKind::quic;
  if (bytes[0] < kStunBelow && bytes.size() >= kStunHeaderBytes && bytes.size() % 4 == 0 &&
      std::ranges::equal(bytes.subspan(4, kMagicCookie.size()), kMagicCookie)) {
    return DatagramKind::stun;
  }
  if (is_from_turn_server && bytes[0] >= kChannelsFrom && bytes[0] < kChannelsBelow) {
    return DatagramKind::turn_data;
  }
  return DatagramKind::quic;
}

// The first byte of a transaction id is the worker's that made it: an answer may come to another.
// None: a request or an indication, which is whoever's it reaches.
[[nodiscard]] inline std::optional<std::uint8_t> worker_of_stun_answer(ByteView stun) {
  constexpr std::size_t kTransactionIdAt = 8;
  constexpr std::uint8_t kIsResponse = 0x01;  // the class bit 0x0100 of the type
  if ((stun[0] & kIsResponse) == 0) return std::nullopt;
  return stun[kTransactionIdAt];
}

}  // namespace culvert::drive
