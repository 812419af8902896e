// How much a connection may send, and when, as its congestion control has it now; whether we spread
// its packets in time or ngtcp2 does. Internal to quic/.
#pragma once

#include "base/time.h"
#include "congestion/pacer.h"
#include "quic/bbr_control.h"

#include <ngtcp2/ngtcp2.h>

#include <cstddef>

namespace culvert::quic {

class SendAllowance {
 public:
  // ngtcp2's BBR has a rate of its own to pace by.
  explicit SendAllowance(bool is_paced_here) : is_paced_here_(is_paced_here) {}

  [[nodiscard]] bool is_paced_here() const { return is_paced_here_; }
  void update(Instant now, const ngtcp2_conn_info& info, const BbrControl& control);

  // Smoothed; zero: not known.
  [[nodiscard]] Duration round_trip() const { return round_trip_; }
  [[nodiscard]] std::size_t window_bytes() const { return window_bytes_; }
  // Where packets are paced here.
  [[nodiscard]] bool may_send() const { return pacer_.may_send(); }
  [[nodiscard]] Instant next_send() const { return pacer_.next_send(); }
  [[nodiscard]] std::size_t burst_bytes() const { return pacer_.burst_bytes(); }
  void on_sent(std::size_t bytes) {
    if (is_paced_here_) pacer_.on_sent(bytes);
  }

 private:
  const bool is_paced_here_;
  congestion::Pacer pacer_;
  Duration round_trip_{};
  std::size_t window_bytes_ = 0;
};

}  // namespace culvert::quic
