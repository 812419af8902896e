#include "session/stripe_scheduler.h"

#include "base/assert.h"
#include "session/chunk_frames.h"

#include <algorithm>

namespace culvert::session {
namespace {

// Chunks looked at for one that is late, from the oldest on.
constexpr std::uint64_t kLateChunksLookedAt = 64;

}  // namespace

std::optional<LegId> StripeScheduler::add_leg() {
  for (LegId leg = 0; leg < kMaxLegs; ++leg) {
    if (legs_[leg].is_used) continue;
    legs_[leg] = Leg{.is_used = true, .queued = {}, .cursor = first_};
    return leg;
  }
  return std::nullopt;
}

void StripeScheduler::remove_leg(LegId leg) {
  suspect_leg(leg);
  for (Chunk& chunk : chunks_) chunk.on &= static_cast<Legs>(~bit(leg));
  legs_[leg] = Leg{};
}

void StripeScheduler::suspect_leg(LegId leg) {
  for (const Queued& queued : legs_[leg].queued) {
    if (queued.chunk < first_) continue;
    Chunk& its = chunk(queued.chunk);
    its.on &= static_cast<Legs>(~bit(leg));
    if (its.on == 0 && !its.has_arrived) lost_.insert(queued.chunk);
  }
}

void StripeScheduler::set_end(std::uint64_t end, bool is_final) {
  end_ = end;
  is_final_ = is_final;
}

std::optional<ChunkRange> StripeScheduler::next(Instant now, LegId leg, std::size_t max_bytes,
                                                Duration patience) {
  CULVERT_ASSERT(legs_[leg].is_used);
  if (const auto lost = lost_chunk()) return choose(now, leg, *lost);
  if (mode_ == Multipath::redundant) {
    if (const auto copy = copy_for(leg)) return choose(now, leg, *copy);
  } else if (const auto late = late_chunk(now, leg, patience)) {
    return choose(now, leg, *late);
  }
  if (begin_chunk(now, max_bytes)) return choose(now, leg, first_ + chunks_.size() - 1);
  // The window or the memory of chunks is full: the oldest holds everything up.
  const bool is_blocked = next_offset_ < end_;
  if (mode_ != Multipath::redundant && is_blocked) {
    if (const auto late = late_chunk(now, leg, Duration::zero())) return choose(now, leg, *late);
  }
  return std::nullopt;
}

ChunkRange StripeScheduler::choose(Instant now, LegId leg, std::uint64_t number) {
  legs_[leg].choice = number;
  Chunk& chosen = chunk(number);
  const bool is_new = chosen.on == 0 && !lost_.contains(number);
  if (!is_new) repeated_bytes_ += chosen.length;
  lost_.erase(number);
  chosen.on |= bit(leg);
  chosen.queued_at = now;
  return {.offset = chosen.offset, .length = chosen.length};
}

void StripeScheduler::queued(LegId leg, std::uint64_t leg_offset) {
  legs_[leg].queued.push_back({.chunk = legs_[leg].choice, .leg_offset = leg_offset});
}

std::optional<std::uint64_t> StripeScheduler::lost_chunk() {
  while (!lost_.empty()) {
    const std::uint64_t number = *lost_.begin();
    if (number >= first_ && !chunk(number).has_arrived) return number;
    lost_.erase(lost_.begin());
  }
  return std::nullopt;
}

// What another leg carries and this one does not.
std::optional<std::uint64_t> StripeScheduler::copy_for(LegId leg) {
  std::uint64_t& cursor = legs_[leg].cursor;
  cursor = std::max(cursor, first_);
  for (; cursor < first_ + chunks_.size(); ++cursor) {
    const Chunk& candidate = chunk(cursor);
    if (!candidate.has_arrived && (candidate.on & bit(leg)) == 0) return cursor++;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> StripeScheduler::late_chunk(Instant now, LegId leg,
                                                         Duration patience) {
  const std::uint64_t end = first_ + std::min<std::uint64_t>(chunks_.size(), kLateChunksLookedAt);
  for (std::uint64_t number = first_; number < end; ++number) {
    const Chunk& candidate = chunk(number);
    if (candidate.has_arrived || (candidate.on & bit(leg)) != 0) continue;
    if (now - candidate.queued_at >= patience) return number;
  }
  return std::nullopt;
}

bool StripeScheduler::begin_chunk(Instant now, std::size_t max_bytes) {
  if (chunks_.size() >= kMaxChunks) return false;
  const std::uint64_t to = std::min(end_, window_);
  if (next_offset_ < to) {
    const auto length = static_cast<std::size_t>(
        std::min<std::uint64_t>({max_bytes, kMaxChunkBytes, to - next_offset_}));
    if (length == 0) return false;
    chunks_.push_back({.offset = next_offset_, .length = length, .queued_at = now});
    next_offset_ += length;
    return true;
  }
  if (!is_end_due()) return false;
  is_end_queued_ = true;
  chunks_.push_back({.offset = end_, .length = 0, .queued_at = now});
  return true;
}

bool StripeScheduler::is_end_due() const {
  return is_final_ && !is_end_queued_ && next_offset_ == end_;
}

void StripeScheduler::acknowledged(LegId leg, std::uint64_t leg_offset) {
  auto& queued = legs_[leg].queued;
  while (!queued.empty() && queued.front().leg_offset <= leg_offset) {
    if (queued.front().chunk >= first_) chunk(queued.front().chunk).has_arrived = true;
    queued.pop_front();
  }
  forget_arrived();
}

void StripeScheduler::forget_arrived() {
  while (!chunks_.empty() && chunks_.front().has_arrived) {
    const Chunk& oldest = chunks_.front();
    delivered_ = oldest.offset + oldest.length;
    is_end_delivered_ = is_end_delivered_ || oldest.length == 0;
    chunks_.pop_front();
    ++first_;
  }
}

}  // namespace culvert::session
