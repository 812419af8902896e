// What the peer of a connection may send (RFC 9000 4): its MAX_DATA and MAX_STREAM_DATA. Pure,
// O(1).
//
// A connection's credit follows what has arrived, not what was read, within the budget of its
// session: a stream that nobody reads takes nothing from the others. Each stream's own window
// bounds what it may have waiting: small at first, larger while its reader keeps up, smaller
// when the reader falls behind. Where packets are lost, all that came after one waits for it and
// then arrives at once: windows are to hold several times that, or the peer waits for us. A stream
// that goes on where another connection was lost has the first window until what waited of that is
// read.
#pragma once

#include "base/intrusive_list.h"
#include "base/limits.h"
#include "base/time.h"
#include "buffers/session_budget.h"

#include <algorithm>
#include <cstdint>
#include <memory>

namespace culvert::buffers {

// What came in order at one moment. Much of it: it waited for a packet that was lost.
class ArrivalBurst {
 public:
  // A burst of `much` or more is remembered for `span`.
  void add(Instant now, std::size_t count, std::size_t much, Duration span) {
    if (now != at_ && (bytes_ < much || now - at_ > span)) {
      at_ = now;
      bytes_ = 0;
    }
    if (now == at_) bytes_ += count;
  }
  // Of the last `span`.
  [[nodiscard]] std::size_t bytes(Instant now, Duration span) const {
    return now - at_ <= span ? bytes_ : 0;
  }

 private:
  Instant at_{};
  std::size_t bytes_ = 0;
};

// Of one stream; offsets from its beginning on this connection.
struct StreamCredit {
  std::uint64_t granted = limits::kStreamWindowFirst;
  std::uint64_t received = 0;  // in order
  std::uint64_t consumed = 0;
  std::size_t window = limits::kStreamWindowFirst;
  Instant granted_at{};
  Instant resized_at{};
  Instant received_at{};
  ArrivalBurst burst{};
  std::uint32_t least_window = limits::kStreamWindowFirst;
  bool is_counted = false;        // in the budget
  bool is_waiting = false;        // ... as one that has something unread
  std::size_t counted_bytes = 0;  // as grown
  std::size_t inherited = 0;      // what came by connections before and was not read
  std::uint64_t read_before = 0;  // and what was
  ListHook<StreamCredit> awake_hook;

  [[nodiscard]] std::size_t unread() const { return static_cast<std::size_t>(received - consumed); }
  // What the peer may have waiting here: more than the window where that has become smaller.
  [[nodiscard]] std::size_t outstanding() const {
    return std::max(window, static_cast<std::size_t>(granted - consumed));
  }
};

class ReceiveCredit {
 public:
  explicit ReceiveCredit(std::shared_ptr<SessionBudget> budget);
  ~ReceiveCredit();
  ReceiveCredit(const ReceiveCredit&) = delete;
  ReceiveCredit& operator=(const ReceiveCredit&) = delete;

  [[nodiscard]] SessionBudget& budget() { return *budget_; }
  // From now on it counts there: it has become one of a session's connections.
  void share(std::shared_ptr<SessionBudget> budget);
  void set_round_trip(Duration round_trip) { round_trip_ = round_trip; }

  // Each returns by how much the stream's MAX_STREAM_DATA is to be raised now.
  [[nodiscard]] std::uint64_t on_opened(Instant now, StreamCredit& stream);  // by us
  [[nodiscard]] std::uint64_t on_received(Instant now, StreamCredit& stream, std::size_t count);
  [[nodiscard]] std::uint64_t on_consumed(Instant now, StreamCredit& stream, std::size_t count);
  // The window is this large at least, whatever else waits.
  [[nodiscard]] std::uint64_t ensure_window(Instant now, StreamCredit& stream, std::size_t window);
  // Bytes that nobody will read.
  void on_dropped(std::size_t count);
  // What waits of it is dropped, or goes on without this connection.
  void on_stream_over(StreamCredit& stream);
  // Bytes of the stream that wait and came by another connection, where `read_before` were read.
  void on_inherited(Instant now, StreamCredit& stream, std::size_t count,
                    std::uint64_t read_before);
  // Read first. As the others above.
  [[nodiscard]] std::uint64_t on_inherited_consumed(Instant now, StreamCredit& stream,
                                                    std::size_t count);

  // By how much MAX_DATA is to be raised now.
  [[nodiscard]] std::uint64_t extend(Instant now);
  // When to ask again, because the budget had nothing left; kNever: no need.
  [[nodiscard]] Instant next_timeout() const { return retry_at_; }
  // What the peer may send beyond what has arrived in order.
  [[nodiscard]] std::size_t ahead() const { return static_cast<std::size_t>(granted_ - received_); }

 private:
  [[nodiscard]] std::uint64_t start_window(Instant now, StreamCredit& stream);
  void resize(Instant now, StreamCredit& stream);
  [[nodiscard]] bool enlarge(Instant now, StreamCredit& stream);
  void wake(Instant now, StreamCredit& stream);
  void put_idle_to_sleep(Instant now);
  void count(StreamCredit& stream, bool is_counted);
  void recount(StreamCredit& stream);
  void note_unread(StreamCredit& stream);
  void give_back(std::size_t count);
  void forget_inherited(StreamCredit& stream, std::size_t count);

  std::shared_ptr<SessionBudget> budget_;  // shared with the session's other connections
  std::uint64_t granted_ = limits::kConnectionWindowFirst;
  std::uint64_t received_ = 0;
  std::uint64_t consumed_ = 0;
  std::size_t inherited_ = 0;
  std::size_t target_ = limits::kConnectionWindowFirst;  // for ahead()
  Instant extended_at_{};
  Instant retry_at_ = kNever;
  Duration round_trip_{};
  ArrivalBurst burst_;
  IntrusiveList<StreamCredit, &StreamCredit::awake_hook> awake_;  // the longest silent first
};

}  // namespace culvert::buffers
