// Failures by keyed hash, the least recently failed forgotten first: memory stays bounded
// whatever strangers send. Private to session/.
#pragma once

#include "base/time.h"

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>

namespace culvert::session {

class FailureTable {
 public:
  struct Entry {
    std::uint64_t key = 0;
    std::uint32_t failures = 0;  // since the last lockout
    Instant last_failure{};
    Instant locked_until{};
  };

  explicit FailureTable(std::size_t capacity) : capacity_(capacity) { by_key_.reserve(capacity); }

  // The end of the lock on `key`; the epoch when it has none.
  [[nodiscard]] Instant locked_until(std::uint64_t key);
  // Counts one failure. The `limit`-th locks for `lockout` and begins a new count (true); so
  // does a pause of `lockout` (false). limit 0: nothing is counted.
  bool add_failure(Instant now, std::uint64_t key, std::uint32_t limit, Duration lockout);
  void forget(std::uint64_t key);

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::size_t locked_count(Instant now) const;  // linear
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }

 private:
  using Entries = std::list<Entry>;  // the most recently used first
  Entry& touch(std::uint64_t key);

  std::size_t capacity_;
  Entries entries_;
  std::unordered_map<std::uint64_t, Entries::iterator> by_key_;
  std::uint64_t evicted_ = 0;
};

}  // namespace culvert::session
