// The DATAGRAMs of one connection that wait, in both directions, within the budget of its session.
// Of the connection's thread.
#pragma once

#include "base/bytes.h"
#include "base/time.h"
#include "buffers/datagram_queue.h"
#include "buffers/session_budget.h"

#include <cstddef>
#include <optional>

namespace culvert::buffers {

class DatagramBuffers {
 public:
  DatagramBuffers();

  // One is to be sent; one has arrived. Returns how many were dropped for it, or instead of it.
  std::size_t push_outgoing(Instant now, SessionBudget& budget, ByteView header, ByteView payload);
  std::size_t push_incoming(Instant now, SessionBudget& budget, ByteView payload);
  [[nodiscard]] DatagramQueue& outgoing() { return outgoing_; }
  [[nodiscard]] const DatagramQueue& outgoing() const { return outgoing_; }
  // The next that has arrived; valid until the next call of one of these.
  [[nodiscard]] std::optional<ByteView> poll_incoming();

  // Queues that were not used for long hold no memory afterwards.
  void rest(Instant now, SessionBudget& budget);
  // From now on `to` counts what `from` does; or nobody.
  void recount(SessionBudget& from, SessionBudget& to);
  void uncount(SessionBudget& budget);

 private:
  void count(SessionBudget& budget);
  void end_loan();

  DatagramQueue incoming_;
  DatagramQueue outgoing_;
  bool is_lent_ = false;     // the front of incoming_
  std::size_t held_ = 0;     // memory of outgoing_, as the budget knows it
  std::size_t waiting_ = 0;  // ... and of incoming_
  Instant used_at_{};
};

}  // namespace culvert::buffers
