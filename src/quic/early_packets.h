// 1-RTT packets of a server that come before its client has written the end of its handshake.
// Internal to quic/.
//
// They are allowed (RFC 9001 5.7), and ngtcp2 reads them as soon as it has their keys. But what its
// client does last in the handshake counts on the state that it began with: with 1.11 and 1.25 a
// server that says HANDSHAKE_DONE by then makes it follow a null pointer, and one that gives
// connection ids makes it abort at an assertion. So ngtcp2 gets them once it has written.
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "quic/tx_builder.h"

#include <cstddef>
#include <vector>

namespace culvert::quic {

// How much of a datagram are packets with long headers: those of the handshake.
[[nodiscard]] std::size_t handshake_part(ByteView datagram);

class EarlyPackets {
 public:
  struct Packet {
    PathId path;
    Ecn ecn = Ecn::not_ect;
    Bytes bytes;
  };

  // Keeps what does not belong to the handshake, and returns what does. What would be too much is
  // lost, as on a wire.
  [[nodiscard]] ByteView hold(const PathId& path, Ecn ecn, ByteView datagram);
  [[nodiscard]] bool is_empty() const { return packets_.empty(); }
  [[nodiscard]] std::vector<Packet> take();

 private:
  std::vector<Packet> packets_;
  // With what keeps them, or single bytes would take a hundred times as much.
  std::size_t bytes_ = 0;
};

}  // namespace culvert::quic
