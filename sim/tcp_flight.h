// How fast and how evenly TCP gets on where links have a rate, or lose some: slow start, a window
// that halves with a loss, what is lost sent again. Pure: which segment goes when; the bytes and
// the links are others'. Enough of RFC 5681 and 6298 for what applications see; nothing of what
// segments hold.
#pragma once

#include "base/time.h"

#include <cstddef>
#include <cstdint>

namespace culvert::sim {

class TcpFlight {
 public:
  static constexpr std::size_t kSegmentBytes = 1'448;  // RFC 9293 3.7.1, with timestamps
  static constexpr std::size_t kHeaderBytes = 52;

  [[nodiscard]] bool may_send() const { return static_cast<double>(in_flight_) < window_; }
  // Segments are numbered from 0 as they leave first.
  void on_sent() {
    ++in_flight_;
    ++next_;
  }
  void on_acknowledged();
  // Segment `number` is gone, for the `tries`-th time. How long after it left it leaves again: a
  // round trip, when those behind it tell; when none does, or it was sent again already, a timeout.
  [[nodiscard]] Duration on_lost(std::uint64_t number, unsigned tries, Duration round_trip,
                                 bool are_some_behind);

  [[nodiscard]] std::uint64_t next() const { return next_; }
  [[nodiscard]] double window() const { return window_; }
  [[nodiscard]] std::uint64_t losses() const { return losses_; }

 private:
  double window_ = 10;         // segments (RFC 6928)
  double threshold_ = 1e9;     // until there it doubles each round trip
  std::size_t in_flight_ = 0;  // and not acknowledged
  std::uint64_t next_ = 0;
  std::uint64_t recovery_until_ = 0;  // losses of segments before this are one event
  std::uint64_t losses_ = 0;
};

}  // namespace culvert::sim
