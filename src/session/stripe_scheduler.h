// Which bytes of a striped flow go over which of its legs, and what must go again. A leg is
// the flow's stream on one connection of the session. Knows offsets only, no bytes. Sans-I/O.
//
// What a leg's stream has acknowledged has been received (as for resume, decision 0008), so
// there are no acknowledgements of its own. What was queued on a leg that is lost goes again
// over the others.
#pragma once

#include "base/limits.h"
#include "base/multipath.h"
#include "base/time.h"

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>

namespace culvert::session {

using LegId = std::uint8_t;  // less than StripeScheduler::kMaxLegs

struct ChunkRange {
  std::uint64_t offset = 0;
  std::size_t length = 0;  // 0: the end
};

class StripeScheduler {
 public:
  static constexpr std::size_t kMaxLegs = limits::kMaxStripeLegs;
  // Chunks that are under way at most.
  static constexpr std::size_t kMaxChunks = limits::kMaxStripeChunks;

  explicit StripeScheduler(Multipath mode) : mode_(mode) {}

  // Empty: there are kMaxLegs.
  [[nodiscard]] std::optional<LegId> add_leg();
  // What was under way on it goes again.
  void remove_leg(LegId leg);
  // It seems to be dead: what was under way on it goes again, though it may still arrive.
  void suspect_leg(LegId leg);

  // The receiver takes bytes before this offset.
  void set_window(std::uint64_t limit) { window_ = std::max(window_, limit); }
  [[nodiscard]] std::uint64_t window() const { return window_; }
  // The flow has bytes up to `end`, and no more if `is_final`.
  void set_end(std::uint64_t end, bool is_final);

  // What `leg` carries next, new bytes at most `max_bytes` of them. Chunks that are older than
  // `patience` and not known to have arrived go again. Each is to be followed by queued().
  [[nodiscard]] std::optional<ChunkRange> next(Instant now, LegId leg, std::size_t max_bytes,
                                               Duration patience);
  // The chunk is in the leg's stream, which ends at `leg_offset` now.
  void queued(LegId leg, std::uint64_t leg_offset);
  // The leg's stream is acknowledged up to there.
  void acknowledged(LegId leg, std::uint64_t leg_offset);

  // Every byte before it has arrived.
  [[nodiscard]] std::uint64_t delivered() const { return delivered_; }
  // First byte that was never queued.
  [[nodiscard]] std::uint64_t next_offset() const { return next_offset_; }
  [[nodiscard]] bool is_all_delivered() const { return is_end_delivered_; }
  // When the oldest chunk under way was queued; kNever: there is none.
  [[nodiscard]] Instant oldest() const {
    return chunks_.empty() ? kNever : chunks_.front().queued_at;
  }
  [[nodiscard]] std::uint64_t repeated_bytes() const { return repeated_bytes_; }

 private:
  using Legs = std::uint8_t;  // one bit each
  struct Chunk {
    std::uint64_t offset = 0;
    std::size_t length = 0;
    Instant queued_at{};
    Legs on{};  // legs that carry it
    bool has_arrived = false;
  };
  struct Queued {
    std::uint64_t chunk;  // its number
    std::uint64_t leg_offset;
  };
  struct Leg {
    bool is_used = false;
    std::deque<Queued> queued;  // not acknowledged
    std::uint64_t cursor = 0;   // redundant: the next chunk to look at
    std::uint64_t choice = 0;   // of next(): number of the chunk
  };

  [[nodiscard]] Chunk& chunk(std::uint64_t number) { return chunks_[number - first_]; }
  [[nodiscard]] static Legs bit(LegId leg) { return static_cast<Legs>(1U << leg); }
  [[nodiscard]] ChunkRange choose(Instant now, LegId leg, std::uint64_t number);
  [[nodiscard]] std::optional<std::uint64_t> lost_chunk();
  [[nodiscard]] std::optional<std::uint64_t> copy_for(LegId leg);
  [[nodiscard]] std::optional<std::uint64_t> late_chunk(Instant now, LegId leg, Duration patience);
  [[nodiscard]] bool begin_chunk(Instant now, std::size_t max_bytes);
  [[nodiscard]] bool is_end_due() const;
  void forget_arrived();

  Multipath mode_;
  std::array<Leg, kMaxLegs> legs_;
  std::deque<Chunk> chunks_;  // under way, by number from first_ on
  std::uint64_t first_ = 0;
  std::set<std::uint64_t> lost_;  // on no leg, and not arrived
  std::uint64_t window_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t next_offset_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t repeated_bytes_ = 0;
  bool is_final_ = false;
  bool is_end_queued_ = false;
  bool is_end_delivered_ = false;
};

}  // namespace culvert::session
