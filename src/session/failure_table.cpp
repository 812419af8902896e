#include "session/failure_table.h"

#include <algorithm>

namespace culvert::session {

Instant FailureTable::locked_until(std::uint64_t key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return {};
  entries_.splice(entries_.begin(), entries_, found->second);  // who keeps trying is remembered
  return found->second->locked_until;
}

FailureTable::Entry& FailureTable::touch(std::uint64_t key) {
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) {
    entries_.splice(entries_.begin(), entries_, found->second);
  } else if (entries_.size() < capacity_) {
    entries_.push_front({.key = key});
    by_key_.emplace(key, entries_.begin());
  } else {  // the oldest one's nodes are used again
    ++evicted_;
    entries_.splice(entries_.begin(), entries_, std::prev(entries_.end()));
    auto node = by_key_.extract(entries_.front().key);
    node.key() = key;
    by_key_.insert(std::move(node));
    entries_.front() = {.key = key};
  }
  return entries_.front();
}

bool FailureTable::add_failure(Instant now, std::uint64_t key, std::uint32_t limit,
                               Duration lockout) {
  if (limit == 0) return false;
  Entry& entry = touch(key);
  if (now - entry.last_failure >= lockout) entry.failures = 0;
  entry.last_failure = now;
  if (++entry.failures < limit) return false;
  entry.failures = 0;
  entry.locked_until = now + lockout;
  return true;
}

void FailureTable::forget(std::uint64_t key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  entries_.erase(found->second);
  by_key_.erase(found);
}

std::size_t FailureTable::locked_count(Instant now) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(entries_, [now](const Entry& e) { return e.locked_until > now; }));
}

}  // namespace culvert::session
