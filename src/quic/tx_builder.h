// Gathers outgoing packets of many connections into batches for one send call.
#pragma once

#include "base/datagram.h"

#include <cstdint>
#include <span>
#include <vector>

namespace culvert::quic {

// Whether a packet may share a batch. The kernel refuses a batch as a whole, so one that may be
// too large for the path (a path MTU probe, RFC 8899) takes no other with it.
enum class Batching : std::uint8_t { shared, alone };

// An arena of fixed size, filled packet by packet. Packets that follow each other with
// the same path, size and ECN mark share a batch; a shorter packet ends its batch
// (UDP_SEGMENT allows only the last segment to be short), an empty one has its own. Owned by
// a worker.
class TxBuilder {
 public:
  // The kernel's bounds for one UDP_SEGMENT call.
  static constexpr std::size_t kMaxBatchBytes = 65'000;
  static constexpr std::size_t kMaxBatchSegments = 64;

  explicit TxBuilder(std::size_t arena_bytes);

  // Room for one more packet of up to `size` bytes; empty when the arena is full:
  // send what is there, clear(), go on.
  [[nodiscard]] ByteSpan tail(std::size_t size);
  // The first `size` bytes of tail() are now a packet for `path`.
  void commit(const PathId& path, Ecn ecn, std::size_t size, Batching batching = Batching::shared);

  // A copy of another builder's batch, as it is. False: there is no room for it.
  [[nodiscard]] bool add(const TxBatch& batch);

  [[nodiscard]] std::span<const TxBatch> batches() const { return batches_; }
  [[nodiscard]] bool is_empty() const { return batches_.empty(); }
  void clear();

 private:
  std::vector<std::uint8_t> arena_;
  std::size_t used_ = 0;
  std::vector<TxBatch> batches_;
  std::size_t last_segments_ = 0;  // of the last batch
  bool is_last_open_ = false;      // the last batch may still grow
};

}  // namespace culvert::quic
