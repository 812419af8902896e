#include "quic/stream_buffer.h"

#include "base/assert.h"
#include "base/limits.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace culvert::quic {
namespace {

constexpr std::size_t size_of_chunk(bool is_small) {
  return is_small ? kSmallChunkBytes : kChunkBytes;
}

}  // namespace

Chunk ChunkPool::take(bool is_small) {
  ++in_use_;
  bytes_in_use_ += size_of_chunk(is_small);
  most_in_use_ = std::max(most_in_use_, bytes_in_use_);
  auto& free = is_small ? free_small_ : free_;
  if (free.empty()) return std::make_unique_for_overwrite<std::uint8_t[]>(size_of_chunk(is_small));
  Chunk chunk = std::move(free.back());
  free.pop_back();
  return chunk;
}

void ChunkPool::give(Chunk chunk, bool is_small) {
  CULVERT_ASSERT(chunk != nullptr && in_use_ > 0);
  --in_use_;
  bytes_in_use_ -= size_of_chunk(is_small);
  auto& free = is_small ? free_small_ : free_;
  if (free.size() < max_cached_) free.push_back(std::move(chunk));
}

bool ChunkPool::has_shrunk() const {
  return most_in_use_ - bytes_in_use_ >= std::max(most_in_use_ / 4, limits::kMemoryWorthReturning);
}

void ChunkPool::give_back() {
  free_ = std::vector<Chunk>();
  free_small_ = std::vector<Chunk>();
  most_in_use_ = bytes_in_use_;
}

void ChunkRing::swap(ChunkRing& other) {
  CULVERT_ASSERT(&pool_ == &other.pool_);
  std::swap(is_first_small_, other.is_first_small_);
  std::swap(slots_, other.slots_);
  std::swap(head_, other.head_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
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
  is_first_small_ = is_first_small_ || size_ == 0;
  slots_[(head_ + size_) & (capacity_ - 1)] = pool_.take(size_ == 0);
  ++size_;
}

// In front of a small chunk there is room for a small one only where bytes end; a whole chunk
// takes its place instead, with what it holds.
void ChunkRing::push_front() {
  make_room();
  if (size_ > 0 && is_first_small_) {
    Chunk whole = pool_.take(false);
    std::memcpy(whole.get() + kSmallBegin, slots_[head_].get(), kSmallChunkBytes);
    pool_.give(std::exchange(slots_[head_], std::move(whole)), true);
  }
  is_first_small_ = false;
  head_ = (head_ - 1) & (capacity_ - 1);
  slots_[head_] = pool_.take(false);
  ++size_;
}

void ChunkRing::give(std::size_t index) {
  pool_.give(std::move(slots_[(head_ + index) & (capacity_ - 1)]), index == 0 && is_first_small_);
}

void ChunkRing::pop_front() {
  CULVERT_ASSERT(size_ > 0);
  give(0);
  is_first_small_ = false;
  head_ = (head_ + 1) & (capacity_ - 1);
  --size_;
  release_if_empty();
}

void ChunkRing::pop_back() {
  CULVERT_ASSERT(size_ > 0);
  give(size_ - 1);
  --size_;
  if (size_ == 0) is_first_small_ = false;
  release_if_empty();
}

void ChunkRing::clear() {
  while (size_ > 0) pop_front();
}

// A ring of the first size stays: request/response traffic would allocate it each time.
void ChunkRing::release_if_empty() {
  if (size_ == 0 && capacity_ > 2) {
    slots_.reset();
    head_ = 0;
    capacity_ = 0;
  }
}

namespace {

// Calls use(pointer, size) for the bytes [from, to) of the ring that starts at `base`,
// piece by piece, until it returns false.
template <typename Use>
void for_each_piece(const ChunkRing& chunks, std::uint64_t base, std::uint64_t from,
                    std::uint64_t to, Use&& use) {
  while (from != to) {
    const std::uint64_t position = from - base;
    const std::size_t within = static_cast<std::size_t>(position % kChunkBytes);
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes - within, to - from));
    if (!use(chunks.at(static_cast<std::size_t>(position / kChunkBytes), within), size)) return;
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
  if (chunks_.is_empty()) base_ = end_ - ChunkRing::kSmallBegin;
  const std::uint64_t to = end_ + bytes;
  std::size_t count = 0;
  std::uint64_t from = end_;
  while (from < to && count < out.size()) {
    const std::uint64_t position = from - base_;
    const auto index = static_cast<std::size_t>(position / kChunkBytes);
    if (index == chunks_.size()) chunks_.push_back();
    const auto within = static_cast<std::size_t>(position % kChunkBytes);
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes - within, to - from));
    out[count++] = ByteSpan(chunks_.at(index, within), size);
    from += size;
  }
  return count;
}

void SendBuffer::commit(std::size_t count) {
  CULVERT_ASSERT(end_ - base_ + count <= chunks_.size() * kChunkBytes);
  end_ += count;
  const std::size_t needed =
      end_ == acked_ ? 0 : static_cast<std::size_t>((end_ - base_ + kChunkBytes - 1) / kChunkBytes);
  while (chunks_.size() > needed) chunks_.pop_back();
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
  while (acked_ - base_ >= kChunkBytes) {
    chunks_.pop_front();
    base_ += kChunkBytes;
  }
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
  CULVERT_ASSERT(unacked_bytes() == 0 && head.size() <= kChunkBytes);
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

// The bytes before acked_ in its chunk are free; one more chunk makes room for any head.
void SendBuffer::prepend(ByteView head) {
  if (chunks_.is_empty()) base_ = acked_;
  if (acked_ - base_ < chunks_.first_begin() + head.size()) {
    chunks_.push_front();
    base_ -= kChunkBytes;
  }
  acked_ -= head.size();
  sent_ = acked_;
  std::uint64_t position = acked_ - base_;
  while (!head.empty()) {
    const auto within = static_cast<std::size_t>(position % kChunkBytes);
    const std::size_t size = std::min(kChunkBytes - within, head.size());
    std::memcpy(chunks_.at(static_cast<std::size_t>(position / kChunkBytes), within), head.data(),
                size);
    head = head.subspan(size);
    position += size;
  }
}

void RecvBuffer::append(ByteView bytes) {
  if (chunks_.is_empty()) base_ = end_ - ChunkRing::kSmallBegin;
  while (!bytes.empty()) {
    const std::uint64_t position = end_ - base_;
    const auto index = static_cast<std::size_t>(position / kChunkBytes);
    if (index == chunks_.size()) chunks_.push_back();
    const auto within = static_cast<std::size_t>(position % kChunkBytes);
    const std::size_t size = std::min(kChunkBytes - within, bytes.size());
    std::memcpy(chunks_.at(index, within), bytes.data(), size);
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
  while (start_ - base_ >= kChunkBytes) {
    chunks_.pop_front();
    base_ += kChunkBytes;
  }
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

}  // namespace culvert::quic
