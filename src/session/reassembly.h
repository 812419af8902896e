// Puts the bytes of a striped flow in order again: they come by several connections, each in
// order, together in any order and some twice. Sans-I/O.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace culvert::session {

// Holds at most what lies between next() and the limit.
class Reassembly {
 public:
  // More than our scheduler ever has under way.
  static constexpr std::size_t kMaxPieces = limits::kMaxStripePieces;

  explicit Reassembly(std::uint64_t limit) : limit_(limit) {}

  // The sender may send bytes before this offset.
  void set_limit(std::uint64_t limit) { limit_ = limit; }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }
  // Bytes at `offset`. What is in order now is to be taken at once: first the returned view of
  // `bytes`, then take() until it is empty. Fails when they lie beyond the limit or the end.
  [[nodiscard]] Decoded<ByteView> add(std::uint64_t offset, ByteView bytes);
  [[nodiscard]] std::optional<Bytes> take();
  // There are no bytes from `offset` on. Fails when there were, or when it was elsewhere.
  [[nodiscard]] Decoded<void> set_end(std::uint64_t offset);

  [[nodiscard]] std::uint64_t next() const { return next_; }  // offset of the next byte in order
  [[nodiscard]] bool is_complete() const { return end_ == next_; }
  [[nodiscard]] std::size_t held_bytes() const { return held_; }

 private:
  void hold(std::uint64_t offset, ByteView bytes);

  std::uint64_t limit_;
  std::uint64_t next_ = 0;
  std::uint64_t highest_ = 0;  // end of what has arrived
  std::optional<std::uint64_t> end_;
  std::size_t held_ = 0;
  std::map<std::uint64_t, Bytes> pieces_;  // by offset; they do not overlap
};

}  // namespace culvert::session
