// The congestion window of CUBIC (RFC 9438), its slow start left out: that of Cubic, and what Bbr
// follows while others fill the queue. Sans-I/O, O(1).
#pragma once

#include "base/time.h"

namespace culvert::congestion {

class CubicWindow {
 public:
  // In bytes, as all of it.
  void start(Instant now, double window, double packet);
  void on_ack(Instant now, Duration rtt, double acked);
  // One of the flows has lost a packet: at most once a round trip for each. `share`: the chance
  // that it is one that has not been hit in this round trip.
  void on_congestion(Instant now, double share = 1);
  // Nothing is learned of now: that time does not count.
  void pause() { is_paused_ = true; }
  // As many connections as a browser opens to a server.
  static constexpr unsigned kMostFlows = 8;
  // It stands for so many flows, or those at most: it gives way and grows as all of them together
  // would.
  void set_flows(unsigned flows);
  [[nodiscard]] unsigned flows() const { return static_cast<unsigned>(flows_); }
  [[nodiscard]] double bytes() const { return window_; }

 private:
  void begin_epoch(Instant now);

  double packet_ = 0;
  double window_ = 0;
  double greatest_ = 0;  // W_max
  double reno_ = 0;      // W_est
  double rise_ = 0;      // K, seconds until it is where it was
  Instant epoch_{};
  bool is_paused_ = false;
  double flows_ = 1;
};

}  // namespace culvert::congestion
