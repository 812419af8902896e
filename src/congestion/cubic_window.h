// The congestion window of CUBIC (RFC 9438), its slow start left out: what Bbr follows while
// others fill the queue. Sans-I/O, O(1).
#pragma once

#include "base/time.h"

namespace culvert::congestion {

class CubicWindow {
 public:
  // In bytes, as all of it.
  void start(Instant now, double window, double packet);
  void on_ack(Instant now, Duration rtt, double acked);
  // At most once a round trip.
  void on_congestion(Instant now);
  [[nodiscard]] double bytes() const { return window_; }

 private:
  void begin_epoch(Instant now);

  double packet_ = 0;
  double window_ = 0;
  double greatest_ = 0;  // W_max
  double reno_ = 0;      // W_est
  double rise_ = 0;      // K, seconds until it is where it was
  Instant epoch_{};
};

}  // namespace culvert::congestion
