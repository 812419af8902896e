// A bounded queue of small messages in one block of memory: no allocation per message
// once it has grown to what is needed, none at all while it was never used.
#pragma once

#include "base/bytes.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace culvert::buffers {

class DatagramQueue {
 public:
  // Bounds: bytes of all messages, and their number.
  DatagramQueue(std::size_t max_bytes, std::size_t max_count)
      : max_bytes_(max_bytes), limit_(max_bytes), max_count_(max_count) {}

  // Appends header + payload, dropping the oldest to make room. Returns how many messages
  // were dropped; the new one itself when it alone exceeds the bound.
  std::size_t push(ByteView header, ByteView payload);

  [[nodiscard]] bool is_empty() const { return count_ == 0; }
  [[nodiscard]] std::size_t count() const { return count_; }
  // The oldest; valid until the next push or pop. Precondition: not empty.
  [[nodiscard]] ByteView front() const;
  void pop();
  void clear();
  // From now on its messages may have so many bytes, at most what it was made for.
  void limit(std::size_t bytes) { limit_ = std::min(bytes, max_bytes_); }
  [[nodiscard]] std::size_t memory_bytes() const {
    return memory_.capacity() + slots_.capacity() * sizeof(Slot);
  }
  // Holds no memory any more, if it is empty.
  void give_back();

 private:
  struct Slot {
    std::size_t offset = 0;
    std::size_t size = 0;
  };
  // Where `size` contiguous bytes fit now; kNowhere when they do not.
  [[nodiscard]] std::size_t place(std::size_t size) const;
  bool grow(std::size_t size);
  [[nodiscard]] Slot& slot(std::size_t index) { return slots_[(first_ + index) % slots_.size()]; }

  static constexpr std::size_t kNowhere = ~std::size_t{0};

  std::size_t max_bytes_;
  std::size_t limit_;
  std::size_t max_count_;
  std::vector<std::uint8_t> memory_;
  std::vector<Slot> slots_;  // ring
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace culvert::buffers
