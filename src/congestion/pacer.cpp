#include "congestion/pacer.h"

#include <algorithm>
#include <cmath>

namespace culvert::congestion {
namespace {

// A sender that is woken late, or had nothing to send, may make up for this much.
constexpr double kMostLatenessNs = 4e6;
constexpr double kBurstNs = 2e6;
constexpr double kLeastBurst = 3000;
constexpr double kMostBurst = 65536;  // of one UDP_SEGMENT call

constexpr double kPaceOfWindow = 1.25;  // RFC 9002 7.7
// An average above so many latest samples is of other times.
constexpr int kOutdated = 2;

}  // namespace

Duration present_rtt(Duration smoothed_rtt, Duration latest_rtt) {
  return std::min(smoothed_rtt, kOutdated * latest_rtt);
}

double pace_of_window(Duration smoothed_rtt, Duration latest_rtt, std::size_t window_bytes) {
  const Duration rtt = present_rtt(smoothed_rtt, latest_rtt);
  if (rtt <= Duration::zero()) return 0;
  return kPaceOfWindow * static_cast<double>(window_bytes) / in_seconds(rtt);
}

void Pacer::update(Instant now, double bytes_per_second) {
  ns_per_byte_ = bytes_per_second <= 0 ? 0 : 1e9 / bytes_per_second;
  const auto passed = static_cast<double>((now - updated_).count());
  updated_ = now;
  // What was sent under an older estimate is paid off at the present one.
  debt_bytes_ = ns_per_byte_ <= 0 ? 0
                                  : std::max(debt_bytes_ - passed / ns_per_byte_,
                                             -kMostLatenessNs / ns_per_byte_);
}

std::size_t Pacer::burst_bytes() const {
  if (ns_per_byte_ <= 0) return static_cast<std::size_t>(kMostBurst);
  return static_cast<std::size_t>(std::clamp(kBurstNs / ns_per_byte_, kLeastBurst, kMostBurst));
}

Instant Pacer::next_send() const {
  if (may_send()) return updated_;
  return updated_ + Duration(static_cast<Duration::rep>(std::ceil(debt_bytes_ * ns_per_byte_)));
}

}  // namespace culvert::congestion
