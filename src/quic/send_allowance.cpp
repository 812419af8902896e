#include "quic/send_allowance.h"

namespace culvert::quic {
namespace {

Duration duration_of_library(ngtcp2_duration duration) {
  return Duration(static_cast<Duration::rep>(duration));
}

}  // namespace

void SendAllowance::update(Instant now, const ngtcp2_conn_info& info, const BbrControl& control) {
  window_bytes_ = static_cast<std::size_t>(info.cwnd);
  round_trip_ = duration_of_library(info.smoothed_rtt);
  if (!is_paced_here_) return;
  pacer_.update(now, control.is_attached() && control.has_pace()
                         ? control.pace_per_second()
                         : congestion::pace_of_window(
                               round_trip_, duration_of_library(info.latest_rtt), info.cwnd));
}

}  // namespace culvert::quic
