#include "buffers/session_budget.h"

#include "base/assert.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace culvert::buffers {
namespace {

// Taken from and given back to the process in such steps: few atomic operations.
constexpr std::size_t kStep = 256 * 1024;
// Of a flow whose session has more waiting than it should: enough that something moves, and no
// more than the first pieces of a buffer (stream_buffer.h).
constexpr std::size_t kLeastSendShare = 2 * 1024;
// Windows of flows that may never be read are so many times smaller than others.
constexpr std::size_t kUnprovenShare = 16;
constexpr std::size_t kSmallSendShare = 16 * 1024;
// Windows grow up to two thirds of their part of the budget, and a thirtieth further at the first
// of these and at each doubling, up to all of it at 32 MiB.
constexpr std::uint64_t kProvenBytes = 64 * 1024;
constexpr std::size_t kProvenSteps = 10;

// Flows begin while windows leave such a part of what there is to who reads: as much as when a
// session comes back (parked_limit()).
constexpr std::size_t kReadersShare = 24;

}  // namespace

bool ProcessBudget::take(std::size_t bytes, std::size_t held_bytes) {
  const auto wanted = static_cast<std::int64_t>(bytes);
  const auto floor = static_cast<std::int64_t>(held_bytes + bytes);
  std::int64_t free = free_bytes_.load(std::memory_order_relaxed);
  do {
    if (free - wanted < floor) return false;
  } while (!free_bytes_.compare_exchange_weak(free, free - wanted, std::memory_order_relaxed));
  return true;
}

SessionBudget::~SessionBudget() {
  if (process_) process_->give(taken_);
}

bool SessionBudget::take_up_to(std::size_t wanted, bool is_forced) {
  if (!process_) return true;
  const std::size_t own = limits::kSessionBufferShare;
  const std::size_t beyond = wanted > own ? wanted - own : 0;
  const std::size_t rounded = (beyond + kStep - 1) / kStep * kStep;
  if (rounded > taken_) {
    const std::size_t more = rounded - taken_;
    if (is_forced) {
      process_->take_anyway(more);
    } else if (!process_->take(more, taken_)) {
      return false;
    }
    taken_ = rounded;
  } else if (taken_ - rounded > kStep) {  // not at every step back and forth
    process_->give(taken_ - rounded);
    taken_ = rounded;
  }
  return true;
}

void SessionBudget::settle() {
  static_cast<void>(take_up_to(committed_ + held_ + library_, true));
}

bool SessionBudget::commit(std::size_t bytes) {
  if (committed_ + bytes > receive_limit()) return false;
  if (!take_up_to(committed_ + held_ + library_ + bytes, false)) return false;
  committed_ += bytes;
  return true;
}

void SessionBudget::commit_anyway(std::size_t bytes) {
  committed_ += bytes;
  settle();
}

void SessionBudget::release(std::size_t bytes) {
  CULVERT_ASSERT(bytes <= committed_);
  committed_ -= bytes;
  settle();
}

std::size_t SessionBudget::left_to_commit() const {
  const std::size_t left = receive_limit() - std::min(committed_, receive_limit());
  if (!process_) return left;
  const std::size_t used = committed_ + held_ + library_;
  const std::size_t own = limits::kSessionBufferShare - std::min(used, limits::kSessionBufferShare);
  const std::int64_t beyond = (process_->free_bytes() - static_cast<std::int64_t>(taken_)) / 2;
  return std::min(left, own + static_cast<std::size_t>(std::max<std::int64_t>(beyond, 0)));
}

bool SessionBudget::takes_flows() const {
  const std::size_t there = std::min(committed_ + left_to_commit(), receive_limit());
  return unread_ + grown_ <= there - there / kReadersShare;
}

std::size_t SessionBudget::grown_limit() const {
  const std::size_t left = parked_limit() - std::min(aside_, parked_limit());
  return std::min(limit_ / 16 * 7, left);
}

std::size_t SessionBudget::grown_limit(std::uint64_t read_bytes) const {
  const auto steps = static_cast<std::size_t>(std::bit_width(read_bytes / kProvenBytes));
  return grown_limit() / 30 * (20 + std::min(steps, kProvenSteps));
}

bool SessionBudget::begin(std::size_t bytes) {
  return grow(kUnprovenShare * bytes, bytes, 0);
}

bool SessionBudget::grow(std::size_t window, std::size_t bytes, std::uint64_t read_bytes) {
  const std::size_t grown = grown_ + bytes;
  const std::size_t limit = grown_limit(read_bytes);
  if (grown > limit || window + bytes > (limit - grown) / 2) return false;
  grown_ = grown;
  return true;
}

void SessionBudget::hold(std::size_t bytes) {
  held_ += bytes;
  settle();
}

void SessionBudget::let_go(std::size_t bytes) {
  CULVERT_ASSERT(bytes <= held_);
  held_ -= bytes;
  settle();
}

// Shares that follow what is left: each flow may hold twice that, so all of them together never
// take everything. The process has its say in the same way.
std::size_t SessionBudget::send_share() const {
  const std::size_t left = left_of(held_ + library_, send_limit());
  return std::max(2 * left, left > 0 ? kSmallSendShare : kLeastSendShare);
}

// Every connection may have a little, and notes of the packets that carry what it has to send.
// What is beyond that leaves the session its limit, and the process as much as the session has.
bool SessionBudget::count_library(std::size_t& counted, std::size_t bytes) {
  const std::size_t before = std::exchange(counted, bytes);
  library_ = library_ - before + bytes;
  if (bytes > before) {
    const std::size_t all = committed_ + held_ + library_;
    if (all <= limit_ && take_up_to(all, false)) return true;
  }
  settle();
  return bytes <= before || bytes <= limits::kLibraryBytesOwn + held_ / 2;
}

std::size_t SessionBudget::datagram_share() const {
  return left_of(committed_, receive_limit()) / 2;
}

std::size_t SessionBudget::left_of(std::size_t used, std::size_t limit) const {
  const std::size_t left = used < limit ? limit - used : 0;
  if (!process_) return left;
  const std::int64_t there = process_->free_bytes();
  return std::min(left, there > 0 ? static_cast<std::size_t>(there) : std::size_t{0});
}

}  // namespace culvert::buffers
