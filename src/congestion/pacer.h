// Spreads packets in time (RFC 9002 7.7): at the rate that a congestion controller has, or over
// the round trip, at 5/4 of the congestion window for each. Sans-I/O, O(1).
//
// ngtcp2's own pacer divides by the smoothed round trip alone. Where the peer stood still
// during the handshake, that is seconds on a path of a millisecond, and lets a window pass in
// seconds until enough samples have corrected it. This one also believes the latest sample.
#pragma once

#include "base/time.h"

#include <cstddef>

namespace culvert::congestion {

// The smoothed round trip, unless the latest shows that to be of other times.
[[nodiscard]] Duration present_rtt(Duration smoothed_rtt, Duration latest_rtt);

// For a congestion controller that has only a window. Zero without a sample of the round trip.
[[nodiscard]] double pace_of_window(Duration smoothed_rtt, Duration latest_rtt,
                                    std::size_t window_bytes);

class Pacer {
 public:
  // As the congestion controller has it now. Call before may_send(). Zero: nothing is paced.
  void update(Instant now, double bytes_per_second);
  [[nodiscard]] bool may_send() const { return debt_bytes_ <= 0; }
  // What may leave at once: on a slow path little, so that nothing waits behind it, on a fast
  // one much, so that each wake-up moves many packets.
  [[nodiscard]] std::size_t burst_bytes() const;
  void on_sent(std::size_t bytes) { debt_bytes_ += static_cast<double>(bytes); }
  // When may_send() becomes true, as things are.
  [[nodiscard]] Instant next_send() const;

 private:
  double debt_bytes_ = 0;  // sent ahead of time; below zero: late, to be made up for
  double ns_per_byte_ = 0;
  Instant updated_{};
};

}  // namespace culvert::congestion
