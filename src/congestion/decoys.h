// Packets that are numbered and never sent (RFC 9000 21.4). A peer that acknowledges what it has
// not received makes its sender believe in a shorter path and a faster one; by these it is known.
// They are small, drawn so that nobody can tell which numbers they have, and written amid bulk,
// where the packet after shows at once that they are missing. Sans-I/O, O(1).
#pragma once

#include "base/rng.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace culvert::congestion {

class Decoys {
 public:
  Decoys() { numbers_.fill(-1); }

  // On average one in so many packets: what comes out of order for it costs its peer an
  // acknowledgement, and a liar is caught within a few hundred kilobytes.
  static constexpr std::uint64_t kOneIn = 512;
  // What tells its DATAGRAM from others, which have 0.
  static constexpr std::uint64_t kDatagramId = 1;

  // So many packets were sent since it was last told.
  void on_sent(Rng& rng, std::uint64_t packets) {
    if (left_ == kNotDrawn) left_ = draw(rng);
    left_ -= std::min(left_, packets);
  }
  [[nodiscard]] bool is_due() const { return left_ == 0; }
  // The next packet with a number that asks for an acknowledgement is one.
  void expect_number() { is_expecting_ = true; }
  // None was written.
  void give_up() {
    is_expecting_ = false;
    left_ = kNotDrawn;
  }
  [[nodiscard]] bool is_expecting() const { return is_expecting_; }
  void on_numbered(std::int64_t number) {
    if (!is_expecting_) return;
    numbers_.at(count_++ % numbers_.size()) = number;
    give_up();
  }
  [[nodiscard]] bool has(std::int64_t number) const {
    return std::ranges::find(numbers_, number) != numbers_.end();
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  static constexpr std::uint64_t kNotDrawn = UINT64_MAX;
  [[nodiscard]] static std::uint64_t draw(Rng& rng) { return 1 + rng.below(2 * kOneIn); }

  std::uint64_t left_ = kNotDrawn;
  bool is_expecting_ = false;
  // ngtcp2 tells of one as lost, or acknowledged, within some round trips. So many are under way at
  // once where 16 MiB are, which is more than a window holds (limits::kSendBufferMax); one that is
  // not known any more would count as lost.
  static constexpr std::size_t kUnderWay = 24;
  std::array<std::int64_t, kUnderWay> numbers_;
  std::size_t count_ = 0;
};

}  // namespace culvert::congestion
