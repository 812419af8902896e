#include "quic/tx_builder.h"

#include "base/assert.h"

#include <algorithm>

namespace culvert::quic {

TxBuilder::TxBuilder(std::size_t arena_bytes) : arena_(arena_bytes) {}

ByteSpan TxBuilder::tail(std::size_t size) {
  if (arena_.size() - used_ < size) return {};
  return ByteSpan(arena_).subspan(used_, size);
}

void TxBuilder::commit(const PathId& path, Ecn ecn, std::size_t size, Batching batching) {
  CULVERT_ASSERT(size <= 0xFFFF && size <= arena_.size() - used_);
  const auto packet = ByteView(arena_).subspan(used_, size);
  used_ += size;

  const bool is_shared = batching == Batching::shared;
  if (is_last_open_ && is_shared) {
    TxBatch& last = batches_.back();
    if (size > 0 && size <= last.segment_size && ecn == last.ecn &&
        last_segments_ < kMaxBatchSegments && last.bytes.size() + size <= kMaxBatchBytes &&
        path == last.path) {
      last.bytes = ByteView(last.bytes.data(), last.bytes.size() + size);
      ++last_segments_;
      is_last_open_ = size == last.segment_size;
      return;
    }
  }
  batches_.push_back(TxBatch{
      .path = path, .ecn = ecn, .segment_size = static_cast<std::uint16_t>(size), .bytes = packet});
  is_last_open_ = is_shared && size > 0;
  last_segments_ = 1;
}

bool TxBuilder::add(const TxBatch& batch) {
  const ByteSpan room = tail(batch.bytes.size());
  // An empty one takes none, and yet must not come without end.
  if (room.size() < batch.bytes.size() || batches_.size() >= arena_.size()) return false;
  std::ranges::copy(batch.bytes, room.begin());
  used_ += batch.bytes.size();
  batches_.push_back(batch);
  batches_.back().bytes = room;
  is_last_open_ = false;
  return true;
}

void TxBuilder::clear() {
  used_ = 0;
  batches_.clear();
  is_last_open_ = false;
}

}  // namespace culvert::quic
