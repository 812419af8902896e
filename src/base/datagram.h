// Datagrams in batches: what crosses the seam between a worker and its UDP port.
#pragma once

#include "base/address.h"
#include "base/bytes.h"

#include <cstdint>

namespace culvert {

// The ECN field of an IP header (RFC 3168), with its two-bit values.
enum class Ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

// What one receive call yielded: one datagram, or several of `segment_size` bytes
// glued together by GRO (the last may be shorter).
struct RxDatagram {
  PathId path;  // local = our address it arrived at, remote = its sender
  Ecn ecn = Ecn::not_ect;
  std::uint16_t segment_size = 0;  // == bytes.size() for a single datagram; never 0
  ByteView bytes;                  // valid until the next recv_batch
};

// One or more datagrams of equal size to one address; the last may be shorter.
// The port sends them with one UDP_SEGMENT call, or one by one where it cannot.
struct TxBatch {
  PathId path;  // an unspecified local ip lets the kernel choose
  Ecn ecn = Ecn::not_ect;
  std::uint16_t segment_size = 0;
  ByteView bytes;
};

}  // namespace culvert
