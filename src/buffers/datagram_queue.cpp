#include "buffers/datagram_queue.h"

#include "base/assert.h"

#include <algorithm>
#include <cstring>

namespace culvert::buffers {
namespace {

// An empty message takes a byte: two messages never begin at the same offset, so the order
// of offsets tells whether the queue has wrapped.
std::size_t room_of(std::size_t size) {
  return std::max<std::size_t>(size, 1);
}

}  // namespace

std::size_t DatagramQueue::place(std::size_t size) const {
  if (count_ == 0) return size <= memory_.size() ? 0 : kNowhere;
  const Slot& oldest = slots_[first_];
  const Slot& newest = slots_[(first_ + count_ - 1) % slots_.size()];
  const std::size_t end = newest.offset + room_of(newest.size);
  if (newest.offset >= oldest.offset) {  // free: after the newest, and before the oldest
    if (memory_.size() - end >= size) return end;
    return oldest.offset >= size && oldest.offset > 0 ? 0 : kNowhere;
  }
  return oldest.offset - end >= size ? end : kNowhere;
}

// Doubles the memory, within the bound, until `size` more bytes fit.
bool DatagramQueue::grow(std::size_t size) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < count_; ++i) used += room_of(slot(i).size);
  if (used + size > limit_) return false;
  std::size_t capacity = std::max<std::size_t>(memory_.size(), 2048);
  while (capacity < 2 * (used + size)) capacity *= 2;
  std::vector<std::uint8_t> memory(std::min(capacity, limit_));
  std::size_t offset = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    Slot& moved = slot(i);
    if (moved.size > 0)
      std::memcpy(memory.data() + offset, memory_.data() + moved.offset, moved.size);
    moved.offset = offset;
    offset += room_of(moved.size);
  }
  memory_ = std::move(memory);
  return true;
}

std::size_t DatagramQueue::push(ByteView header, ByteView payload) {
  const std::size_t size = header.size() + payload.size();
  const std::size_t room = room_of(size);
  if (room > std::max(limit_, memory_.size()) || max_count_ == 0) return 1;
  std::size_t dropped = 0;
  if (count_ == max_count_) {
    pop();
    ++dropped;
  }
  std::size_t offset = place(room);
  if (offset == kNowhere && memory_.size() < limit_ && grow(room)) offset = place(room);
  while (offset == kNowhere) {
    CULVERT_ASSERT(count_ > 0);
    pop();
    ++dropped;
    offset = place(room);
  }
  if (count_ == slots_.size()) {
    std::vector<Slot> slots(std::clamp<std::size_t>(slots_.size() * 2, 16, max_count_ + 16));
    for (std::size_t i = 0; i < count_; ++i) slots[i] = slot(i);
    slots_ = std::move(slots);
    first_ = 0;
  }
  if (!header.empty()) std::memcpy(memory_.data() + offset, header.data(), header.size());
  if (!payload.empty()) {
    std::memcpy(memory_.data() + offset + header.size(), payload.data(), payload.size());
  }
  ++count_;
  slot(count_ - 1) = {.offset = offset, .size = size};
  return dropped;
}

ByteView DatagramQueue::front() const {
  CULVERT_ASSERT(count_ > 0);
  const Slot& oldest = slots_[first_];
  return ByteView(memory_).subspan(oldest.offset, oldest.size);
}

void DatagramQueue::pop() {
  CULVERT_ASSERT(count_ > 0);
  first_ = (first_ + 1) % slots_.size();
  --count_;
}

void DatagramQueue::give_back() {
  if (count_ > 0) return;
  memory_ = std::vector<std::uint8_t>();
  slots_ = std::vector<Slot>();
  first_ = 0;
}

void DatagramQueue::clear() {
  count_ = 0;
  first_ = 0;
}

}  // namespace culvert::buffers
