// How much may wait in a session's buffers, in both directions, and how the flows of the session
// share that: whoever reads gets on, whoever does not holds little (docs/decisions/0014). Pure
// bookkeeping, O(1).
//
// Receiving, memory is bounded by credit: what a peer has been allowed to send and nobody has
// consumed is `committed`, used or not. A stream's first window is its own; what it has beyond
// is `grown`, out of what first windows leave, and never more than half of what is then left.
// The last third of that is for streams of which much was read, in steps, the more the longer
// they were: streams that stop leave it to those that are read further than they were. Sending,
// memory is bounded by what is read from sockets: `held` is what waits for its acknowledgement.
// What ngtcp2 notes of all that counts as well.
#pragma once

#include "base/limits.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace culvert::buffers {

// Shared by the sessions of all workers of a process: what a session has beyond a small share of
// its own. A session may have as much as it leaves to the others.
class ProcessBudget {
 public:
  explicit ProcessBudget(std::size_t limit_bytes)
      : free_bytes_(static_cast<std::int64_t>(limit_bytes)) {}

  // False: the session, which holds `held_bytes` already, would leave less than it has.
  [[nodiscard]] bool take(std::size_t bytes, std::size_t held_bytes);
  void take_anyway(std::size_t bytes) {
    free_bytes_.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }
  void give(std::size_t bytes) {
    free_bytes_.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t free_bytes() const {
    return free_bytes_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> free_bytes_;
};

// Of one session; on its worker's thread. Shared by the session and its connections, any of
// which may be the last to go.
class SessionBudget {
 public:
  explicit SessionBudget(std::size_t limit_bytes, std::shared_ptr<ProcessBudget> process = nullptr)
      : limit_(limit_bytes), process_(std::move(process)) {}
  ~SessionBudget();
  SessionBudget(const SessionBudget&) = delete;
  SessionBudget& operator=(const SessionBudget&) = delete;

  [[nodiscard]] std::size_t limit_bytes() const { return limit_; }

  // --- receiving ---------------------------------------------------------------------------
  // The peer is to be allowed `bytes` more. False: not now.
  [[nodiscard]] bool commit(std::size_t bytes);
  // Without asking: bytes that are here already, or that were promised before.
  void commit_anyway(std::size_t bytes);
  void release(std::size_t bytes);
  // What is not for windows to grow into: first windows, and what waits of earlier connections.
  void set_aside(std::size_t bytes) { aside_ += bytes; }
  void take_back(std::size_t bytes) { aside_ -= bytes; }
  // A window is to have `bytes` more, of a flow that nobody knows to be read. False: not so many.
  [[nodiscard]] bool begin(std::size_t bytes);
  // A window of `window` bytes is to have `bytes` more, for its reader keeps up, who has read
  // `read_bytes` so far. False: it is to stay as it is.
  [[nodiscard]] bool grow(std::size_t window, std::size_t bytes, std::uint64_t read_bytes);
  // Without asking: the window was granted before, and counts again.
  void grow_anyway(std::size_t bytes) { grown_ += bytes; }
  void shrink(std::size_t bytes) { grown_ -= bytes; }
  // A flow has something waiting now, which is to count as its first window; or what waits of an
  // earlier connection. And the reverse.
  void add_unread(std::size_t bytes) { unread_ += bytes; }
  void remove_unread(std::size_t bytes) { unread_ -= bytes; }
  // Whether one more flow may begin. Not where windows of those that have something waiting leave
  // little: if nobody reads it those that are read would have to wait.
  [[nodiscard]] bool takes_flows() const;
  // More than it should be: windows that count again were not expected to.
  [[nodiscard]] bool is_overgrown() const { return grown_ > grown_limit(); }
  // How much may wait for readers while the session has no connection, with a first window each,
  // so that all others get on once it has one again.
  [[nodiscard]] std::size_t parked_limit() const { return receive_limit() - ahead_share(); }

  // How much one queue of DATAGRAMs that have arrived may have waiting, which commits it.
  [[nodiscard]] std::size_t datagram_share() const;

  // --- sending -----------------------------------------------------------------------------
  void hold(std::size_t bytes);
  void let_go(std::size_t bytes);
  // How much one flow may have waiting.
  [[nodiscard]] std::size_t send_share() const;

  // --- the library ---------------------------------------------------------------------------
  // What ngtcp2 holds of a connection beyond what is counted above; `counted` is what the budget
  // knows of it. False: too much, where so much is in use.
  [[nodiscard]] bool count_library(std::size_t& counted, std::size_t bytes);

  [[nodiscard]] std::size_t committed_bytes() const { return committed_; }
  [[nodiscard]] std::size_t grown_bytes() const { return grown_; }
  [[nodiscard]] std::size_t held_bytes() const { return held_; }
  [[nodiscard]] std::size_t library_bytes() const { return library_; }
  [[nodiscard]] std::size_t used_bytes() const { return committed_ + held_ + library_; }

 private:
  [[nodiscard]] std::size_t receive_limit() const { return limit_ / 4 * 3; }
  // What a peer may send ahead, whatever windows are there.
  [[nodiscard]] std::size_t ahead_share() const { return limit_ / 32; }
  [[nodiscard]] std::size_t grown_limit() const;
  [[nodiscard]] std::size_t grown_limit(std::uint64_t read_bytes) const;
  [[nodiscard]] std::size_t send_limit() const { return limit_ / 4; }
  // Brings what was taken from the process up or down to `wanted` bytes, in coarse steps.
  [[nodiscard]] bool take_up_to(std::size_t wanted, bool is_forced);
  void settle();
  // What commit() would allow.
  [[nodiscard]] std::size_t left_to_commit() const;
  // Of `limit`, and of what the process has.
  [[nodiscard]] std::size_t left_of(std::size_t used, std::size_t limit) const;

  const std::size_t limit_;
  const std::shared_ptr<ProcessBudget> process_;  // shared by all sessions
  std::size_t committed_ = 0;
  std::size_t aside_ = 0;
  std::size_t grown_ = 0;
  std::size_t unread_ = 0;
  std::size_t held_ = 0;
  std::size_t library_ = 0;
  std::size_t taken_ = 0;  // from the process
};

}  // namespace culvert::buffers
