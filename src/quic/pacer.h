// Spreads packets over the round trip (RFC 9002 7.7), at 5/4 of the congestion window for each.
// Sans-I/O, O(1).
//
// ngtcp2's own pacer divides by the smoothed round trip alone. Where the peer stood still
// during the handshake, that is seconds on a path of a millisecond, and lets a window pass in
// seconds until enough samples have corrected it. This one also believes the latest sample.
#pragma once

#include "base/time.h"

#include <cstddef>

namespace culvert::quic {

// The smoothed round trip, unless the latest shows that to be of other times.
[[nodiscard]] Duration present_rtt(Duration smoothed_rtt, Duration latest_rtt);

class Pacer {
 public:
  // As the congestion controller has them now. Call before may_send(). Zero round trips: no
  // sample yet, nothing is paced.
  void update(Instant now, Duration smoothed_rtt, Duration latest_rtt, std::size_t window_bytes);
  [[nodiscard]] bool may_send() const { return debt_bytes_ <= 0; }
  void on_sent(std::size_t bytes) { debt_bytes_ += static_cast<double>(bytes); }
  // When may_send() becomes true, as things are.
  [[nodiscard]] Instant next_send() const;

 private:
  double debt_bytes_ = 0;  // sent ahead of time; below zero: late, to be made up for
  double ns_per_byte_ = 0;
  Instant updated_{};
};

}  // namespace culvert::quic
