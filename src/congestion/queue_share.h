// A sender's share of a queue that others keep: the window of CUBIC, and until a share is found its
// slow start. Who comes to a queue that was there first has none, and CUBIC alone would take
// minutes to find one. Sans-I/O, O(1).
#pragma once

#include "base/time.h"
#include "congestion/cubic_window.h"

namespace culvert::congestion {

class QueueShare {
 public:
  // With this window, beside a queue of this length.
  void begin(Instant now, double window, double packet, Duration queue) {
    is_finding_ = true;
    queue_before_ = queue;
    cubic_.start(now, window, packet);
  }
  // `rtt` and `queue` are those of now.
  void on_ack(Instant now, Duration rtt, Duration queue, double acked, double packet) {
    if (queue > queue_before_ + rtt / kPart) is_finding_ = false;
    if (is_finding_) {
      cubic_.start(now, cubic_.bytes() + acked, packet);
    } else {
      cubic_.on_ack(now, rtt, acked);
    }
  }
  // Packets are lost, or marked. At most once a round trip.
  void cut(Instant now) {
    is_finding_ = false;
    cubic_.on_congestion(now);
  }
  [[nodiscard]] double window_bytes() const { return cubic_.bytes(); }

 private:
  static constexpr int kPart = 8;  // of a round trip: the queue that finding a share may add

  CubicWindow cubic_;
  bool is_finding_ = false;
  Duration queue_before_{};
};

}  // namespace culvert::congestion
