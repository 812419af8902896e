#include "buffers/stream_buffer.h"

#include "base/assert.h"
#include "base/limits.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace culvert::buffers {
namespace {

// Position from which on all chunks are of the largest size, and the number of the first of these.
constexpr std::uint64_t kUniformFrom = 2 * kChunkBytes;
constexpr std::uint64_t kUniformNumber = std::bit_width(kUniformFrom / kSmallChunkBytes);

// Less than half of its chunks is in use: its bytes are to move together. Each byte moves for one
// that has gone.
bool is_sparse(std::size_t bytes, std::size_t memory) {
  return memory > kSmallChunkBytes && bytes < memory / 2;
}

}  // namespace

std::vector<Chunk>& ChunkPool::free_of(std::size_t bytes) {
  CULVERT_ASSERT(std::has_single_bit(bytes) && bytes >= kSmallChunkBytes && bytes <= kChunkBytes);
  return free_[static_cast<std::size_t>(std::bit_width(bytes / kSmallChunkBytes)) - 1];
}

Chunk ChunkPool::take(std::size_t bytes) {
  ++in_use_;
  bytes_in_use_ += bytes;
  most_in_use_ = std::max(most_in_use_, bytes_in_use_);
  auto& free = free_of(bytes);
  if (free.empty()) return std::make_unique_for_overwrite<std::uint8_t[]>(bytes);
  Chunk chunk = std::move(free.back());
  free.pop_back();
  return chunk;
}

void ChunkPool::give(Chunk chunk, std::size_t bytes) {
  CULVERT_ASSERT(chunk != nullptr && in_use_ > 0);
  --in_use_;
  bytes_in_use_ -= bytes;
  auto& free = free_of(bytes);
  if (free.size() < max_cached_) free.push_back(std::move(chunk));
}

bool ChunkPool::has_shrunk() const {
  return most_in_use_ - bytes_in_use_ >= std::max(most_in_use_ / 4, limits::kMemoryWorthReturning);
}

void ChunkPool::give_back() {
  for (auto& free : free_) free = std::vector<Chunk>();
  most_in_use_ = bytes_in_use_;
}

std::uint64_t ChunkRing::begin_of(std::uint64_t number) {
  if (number >= kUniformNumber) return kUniformFrom + (number - kUniformNumber) * kChunkBytes;
  return number == 0 ? 0 : std::uint64_t{kSmallChunkBytes} << (number - 1);
}

std::uint64_t ChunkRing::number_at(std::uint64_t position) {
  if (position >= kUniformFrom) return kUniformNumber + (position - kUniformFrom) / kChunkBytes;
  return static_cast<std::uint64_t>(std::bit_width(position / kSmallChunkBytes));
}

void ChunkRing::swap(ChunkRing& other) {
  std::swap(pool_, other.pool_);
  std::swap(first_, other.first_);
  std::swap(memory_, other.memory_);
  std::swap(slots_, other.slots_);
  std::swap(head_, other.head_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
}

ByteSpan ChunkRing::from(std::uint64_t position) const {
  const std::uint64_t number = number_at(position);
  const Chunk& chunk = slots_[(head_ + (number - first_)) & (capacity_ - 1)];
  const auto within = static_cast<std::size_t>(position - begin_of(number));
  return ByteSpan(chunk.get() + within, size_of(number) - within);
}

void ChunkRing::make_room() {
  if (size_ != capacity_) return;
  const std::uint32_t grown = capacity_ == 0 ? 2 : capacity_ * 2;
  auto slots = std::make_unique<Chunk[]>(grown);
  for (std::uint32_t i = 0; i < size_; ++i) {
    slots[i] = std::move(slots_[(head_ + i) & (capacity_ - 1)]);
  }
  slots_ = std::move(slots);
  head_ = 0;
  capacity_ = grown;
}

void ChunkRing::push_back() {
  make_room();
  const auto bytes = static_cast<std::uint32_t>(size_of(std::uint64_t{first_} + size_));
  slots_[(head_ + size_) & (capacity_ - 1)] = pool_->take(bytes);
  memory_ += bytes;
  ++size_;
}

void ChunkRing::give(std::size_t index) {
  const auto bytes = static_cast<std::uint32_t>(size_of(first_ + index));
  pool_->give(std::move(slots_[(head_ + index) & (capacity_ - 1)]), bytes);
  memory_ -= bytes;
}

void ChunkRing::pop_front() {
  CULVERT_ASSERT(size_ > 0);
  give(0);
  ++first_;
  head_ = (head_ + 1) & (capacity_ - 1);
  --size_;
  release_if_empty();
}

void ChunkRing::pop_back() {
  CULVERT_ASSERT(size_ > 0);
  give(size_ - 1);
  --size_;
  release_if_empty();
}

void ChunkRing::trim(std::uint64_t position) {
  while (size_ > 0 && begin_of(std::uint64_t{first_} + size_ - 1) >= position) pop_back();
}

void ChunkRing::clear() {
  while (size_ > 0) pop_front();
}

// A ring of the first sizes stays: request/response traffic would allocate it each time.
void ChunkRing::release_if_empty() {
  if (size_ > 0) return;
  first_ = 0;
  if (capacity_ > 4) {
    slots_.reset();
    head_ = 0;
    capacity_ = 0;
  }
}

namespace {

// Calls use(pointer, size) for the bytes [from, to) of the ring whose position 0 is `base`,
// piece by piece, until it returns false.
template <typename Use>
void for_each_piece(const ChunkRing& chunks, std::uint64_t base, std::uint64_t from,
                    std::uint64_t to, Use&& use) {
  while (from != to) {
    const ByteSpan there = chunks.from(from - base);
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(there.size(), to - from));
    if (!use(there.data(), size)) return;
    from += size;
  }
}

}  // namespace

std::size_t SendBuffer::space() const {
  const std::size_t used = unacked_bytes();
  return used < limit_ ? limit_ - used : 0;
}

std::size_t SendBuffer::reserve(std::size_t max_bytes, std::span<ByteSpan> out) {
  return reserve_up_to(std::min(max_bytes, space()), out);
}

std::size_t SendBuffer::reserve_up_to(std::size_t bytes, std::span<ByteSpan> out) {
  if (chunks_.is_empty()) base_ = end_;
  const std::uint64_t to = end_ + bytes;
  std::size_t count = 0;
  std::uint64_t from = end_;
  while (from != to && count < out.size()) {
    if (from - base_ == chunks_.end_position()) chunks_.push_back();
    const ByteSpan there = chunks_.from(from - base_);
    out[count] = there.first(std::min<std::uint64_t>(there.size(), to - from));
    from += out[count++].size();
  }
  return count;
}

void SendBuffer::commit(std::size_t count) {
  CULVERT_ASSERT(count == 0 || end_ - base_ + count <= chunks_.end_position());
  end_ += count;
  chunks_.trim(end_ == acked_ ? 0 : end_ - base_);
}

void SendBuffer::append(ByteView bytes) {
  while (!bytes.empty()) {
    std::array<ByteSpan, 8> spans;
    const std::size_t count = reserve_up_to(bytes.size(), spans);
    std::size_t written = 0;
    for (std::size_t i = 0; i < count; ++i) {
      std::memcpy(spans[i].data(), bytes.data() + written, spans[i].size());
      written += spans[i].size();
    }
    commit(written);
    bytes = bytes.subspan(written);
  }
}

std::size_t SendBuffer::unsent(std::size_t max_bytes, std::span<ByteView> out) const {
  std::size_t count = 0;
  const std::uint64_t to = sent_ + std::min<std::uint64_t>(max_bytes, end_ - sent_);
  for_each_piece(chunks_, base_, sent_, to, [&](const std::uint8_t* data, std::size_t size) {
    if (count == out.size()) return false;
    out[count++] = ByteView(data, size);
    return true;
  });
  return count;
}

std::size_t SendBuffer::views(std::uint64_t offset, std::size_t count,
                              std::span<ByteView> out) const {
  CULVERT_ASSERT(offset - acked_ <= end_ - acked_ && count <= end_ - offset);
  std::size_t used = 0;
  for_each_piece(chunks_, base_, offset, offset + count,
                 [&](const std::uint8_t* data, std::size_t size) {
                   if (used == out.size()) return false;
                   out[used++] = ByteView(data, size);
                   return true;
                 });
  return used;
}

void SendBuffer::mark_sent(std::size_t count) {
  CULVERT_ASSERT(count <= end_ - sent_);
  sent_ += count;
}

void SendBuffer::acknowledge(std::size_t count) {
  acked_ += std::min<std::uint64_t>(count, sent_ - acked_);
  if (acked_ == end_) {
    chunks_.clear();
    return;
  }
  while (acked_ - base_ >= chunks_.first_end()) chunks_.pop_front();
  // A flow that is held back by its peer has a little here that was never sent.
  if (acked_ == sent_ && is_sparse(unacked_bytes(), chunks_.memory_bytes())) move_behind({});
}

void SendBuffer::discard() {
  chunks_.clear();
  acked_ = sent_ = end_;
}

void SendBuffer::set_origin() {
  base_ -= end_;
  acked_ -= end_;
  sent_ -= end_;
  end_ = 0;
  data_from_ = 0;
}

void SendBuffer::inherit(SendBuffer& old, std::uint64_t from, ByteView head) {
  CULVERT_ASSERT(unacked_bytes() == 0);
  old.sent_ = old.end_;
  old.acknowledge(static_cast<std::size_t>(from - old.acked_));
  chunks_.swap(old.chunks_);
  base_ = old.base_;
  acked_ = sent_ = old.acked_;
  end_ = old.end_;
  data_from_ = from;
  old.discard();
  if (!head.empty()) prepend(head);
}

// The bytes before acked_ in its chunk are free. Where they are too few, everything moves behind
// the head.
void SendBuffer::prepend(ByteView head) {
  const std::uint64_t room = chunks_.is_empty() ? 0 : acked_ - base_ - chunks_.begin_position();
  if (room >= head.size()) {
    acked_ -= head.size();
    sent_ = acked_;
    std::memcpy(chunks_.from(acked_ - base_).data(), head.data(), head.size());
    return;
  }
  move_behind(head);
}

// Nothing of it is under way, so nobody points to it.
void SendBuffer::move_behind(ByteView head) {
  ChunkRing moved(chunks_.pool());
  moved.swap(chunks_);
  const std::uint64_t base = base_;
  const std::uint64_t from = acked_;
  const std::uint64_t to = end_;
  acked_ = sent_ = end_ = acked_ - head.size();
  append(head);
  for_each_piece(moved, base, from, to, [&](const std::uint8_t* data, std::size_t size) {
    append({data, size});
    return true;
  });
}

void RecvBuffer::append(ByteView bytes) {
  if (chunks_.is_empty()) base_ = end_;
  // What fits the smallest chunk is to take no more.
  const std::size_t all = size() + bytes.size();
  if (size() > 0 && all <= kSmallChunkBytes &&
      end_ - base_ + bytes.size() > chunks_.end_position()) {
    compact();
  }
  while (!bytes.empty()) {
    if (end_ - base_ == chunks_.end_position()) chunks_.push_back();
    const ByteSpan there = chunks_.from(end_ - base_);
    const std::size_t size = std::min(there.size(), bytes.size());
    std::memcpy(there.data(), bytes.data(), size);
    end_ += size;
    bytes = bytes.subspan(size);
  }
}

std::size_t RecvBuffer::views(std::span<ByteView> out) const {
  std::size_t count = 0;
  for_each_piece(chunks_, base_, start_, end_, [&](const std::uint8_t* data, std::size_t size) {
    if (count == out.size()) return false;
    out[count++] = ByteView(data, size);
    return true;
  });
  return count;
}

void RecvBuffer::consume(std::size_t count) {
  CULVERT_ASSERT(count <= size());
  start_ += count;
  if (start_ == end_) {
    discard();
    return;
  }
  while (start_ - base_ >= chunks_.first_end()) chunks_.pop_front();
  if (is_sparse(size(), chunks_.memory_bytes())) compact();
}

void RecvBuffer::compact() {
  ChunkRing moved(chunks_.pool());
  moved.swap(chunks_);
  const std::uint64_t base = base_;
  const std::uint64_t to = end_;
  end_ = start_;
  for_each_piece(moved, base, start_, to, [&](const std::uint8_t* data, std::size_t size) {
    append({data, size});
    return true;
  });
}

void RecvBuffer::set_origin() {
  base_ -= start_;
  end_ -= start_;
  start_ = 0;
}

void RecvBuffer::inherit(RecvBuffer& old) {
  chunks_.swap(old.chunks_);
  std::swap(base_, old.base_);
  std::swap(start_, old.start_);
  std::swap(end_, old.end_);
  for_each_piece(old.chunks_, old.base_, old.start_, old.end_,
                 [&](const std::uint8_t* data, std::size_t size) {
                   append({data, size});
                   return true;
                 });
  old.discard();
}

void RecvBuffer::discard() {
  chunks_.clear();
  start_ = end_;
}

}  // namespace culvert::buffers
