#include "sim/tcp_flight.h"

#include <algorithm>

namespace culvert::sim {
namespace {

constexpr Duration kLeastTimeout = std::chrono::milliseconds(200);  // Linux: TCP_RTO_MIN
constexpr Duration kMostTimeout = std::chrono::seconds(120);        // Linux: TCP_RTO_MAX
constexpr double kLeastWindow = 2;

}  // namespace

void TcpFlight::on_acknowledged() {
  --in_flight_;
  window_ += window_ < threshold_ ? 1 : 1 / window_;
}

Duration TcpFlight::on_lost(std::uint64_t number, unsigned tries, Duration round_trip,
                            bool are_some_behind) {
  ++losses_;
  if (number >= recovery_until_) {
    recovery_until_ = next_;
    window_ = threshold_ = std::max(window_ / 2, kLeastWindow);
  }
  if (tries == 1 && are_some_behind) return round_trip;
  const Duration first = round_trip + kLeastTimeout;
  // Doubled each time; 10 doublings are beyond the most.
  return std::min(first * (1U << std::min(tries - 1, 10U)), kMostTimeout);
}

}  // namespace culvert::sim
