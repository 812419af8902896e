// Streams that wait for their session to have a connection again. Private to drive/.
#pragma once

#include "base/time.h"
#include "peer/stream_user.h"
#include "quic/connection.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

namespace culvert::peer {

// Owned by its session. What waits in them counts in the session's budget.
class ParkedStreams {
 public:
  ParkedStreams() = default;
  ~ParkedStreams() { clear(); }
  ParkedStreams(const ParkedStreams&) = delete;
  ParkedStreams& operator=(const ParkedStreams&) = delete;

  // What becomes of the user of a stream that cannot go on: it ends with its connection.
  using End = std::function<void(StreamUser& user)>;

  // Takes the streams of a connection that was closed. Those without a flow id end. Those
  // whose peer has everything and has sent everything only wait for our side to take it:
  // they need no connection any more.
  void take(quic::Connection& closed, std::shared_ptr<buffers::SessionBudget> budget,
            const End& end);

  [[nodiscard]] bool is_empty() const { return by_id_.empty(); }
  [[nodiscard]] std::size_t size() const { return by_id_.size(); }
  // The one with the lowest id, which was opened first.
  [[nodiscard]] quic::Stream& front() { return *by_id_.begin()->second.stream; }
  [[nodiscard]] quic::Stream* find(std::uint64_t flow_id);
  [[nodiscard]] std::unique_ptr<quic::Stream> remove(std::uint64_t flow_id);
  // The peer has it whole: from here on as in take().
  void let_finish(std::uint64_t flow_id);
  void clear();

  // While more waits to be read than the budget lets (SessionBudget::parked_limit): the one of
  // which most does; else nullptr.
  [[nodiscard]] quic::Stream* largest_beyond_share();

 private:
  struct Parked {
    std::unique_ptr<quic::Stream> stream;
    std::size_t waiting = 0;  // received; as the budget knows it
    std::size_t held = 0;     // to be sent
  };
  // Tells the budget what it holds now.
  void account(Parked& parked);
  std::unique_ptr<quic::Stream> release(Parked parked);
  void forget_finished();

  std::shared_ptr<buffers::SessionBudget> budget_;  // shared with the session's connections
  std::map<std::uint64_t, Parked> by_id_;
  std::vector<Parked> finishing_;
};

}  // namespace culvert::peer
