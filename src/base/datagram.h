// Datagrams in batches: what crosses the seam between a worker and its UDP port.
#pragma once

#include "base/address.h"
#include "base/bytes.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace culvert {

// The ECN field of an IP header (RFC 3168), with its two-bit values.
enum class Ecn : std::uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

// What one receive call yielded: one datagram, or several of `segment_size` bytes
// glued together by GRO (the last may be shorter). An empty datagram comes alone, with both
// sizes 0.
struct RxDatagram {
  PathId path;  // local = our address it arrived at, remote = its sender
  Ecn ecn = Ecn::not_ect;
  std::uint16_t segment_size = 0;  // == bytes.size() for a single datagram
  ByteView bytes;                  // valid until the next recv_batch
};

// One or more datagrams of equal size to one address; the last may be shorter. An empty one
// is a batch of its own.
// The port sends them with one UDP_SEGMENT call, or one by one where it cannot.
struct TxBatch {
  PathId path;  // an unspecified local ip lets the kernel choose
  Ecn ecn = Ecn::not_ect;
  std::uint16_t segment_size = 0;
  ByteView bytes;
};

// Calls `take` with every datagram of an RxDatagram or a TxBatch. The one way to take them
// apart: an empty datagram is one too, which a loop over the bytes would miss.
template <typename Batch, typename Take>
void for_each_segment(const Batch& batch, Take take) {
  const ByteView bytes = batch.bytes;
  const std::size_t step = batch.segment_size == 0 ? bytes.size() : batch.segment_size;
  if (bytes.empty()) return take(bytes);
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    take(bytes.subspan(at, std::min(step, bytes.size() - at)));
  }
}

// How many datagrams those are.
template <typename Batch>
[[nodiscard]] std::size_t segment_count(const Batch& batch) {
  if (batch.bytes.empty() || batch.segment_size == 0) return 1;
  return (batch.bytes.size() + batch.segment_size - 1) / batch.segment_size;
}

}  // namespace culvert
