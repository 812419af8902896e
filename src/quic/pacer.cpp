#include "quic/pacer.h"

#include <algorithm>
#include <cmath>

namespace culvert::quic {
namespace {

// A sender that is woken late, or had nothing to send, may make up for this much.
constexpr double kMostLatenessNs = 4e6;
constexpr double kPaceOfWindow = 1.25;  // RFC 9002 7.7
// An average above so many latest samples is of other times.
constexpr int kOutdated = 2;

}  // namespace

Duration present_rtt(Duration smoothed_rtt, Duration latest_rtt) {
  return std::min(smoothed_rtt, kOutdated * latest_rtt);
}

void Pacer::update(Instant now, Duration smoothed_rtt, Duration latest_rtt,
                   std::size_t window_bytes) {
  const Duration rtt = present_rtt(smoothed_rtt, latest_rtt);
  ns_per_byte_ = window_bytes == 0 ? 0
                                   : static_cast<double>(rtt.count()) /
                                         (kPaceOfWindow * static_cast<double>(window_bytes));
  const auto passed = static_cast<double>((now - updated_).count());
  updated_ = now;
  // What was sent under an older estimate is paid off at the present one.
  debt_bytes_ = ns_per_byte_ <= 0 ? 0
                                  : std::max(debt_bytes_ - passed / ns_per_byte_,
                                             -kMostLatenessNs / ns_per_byte_);
}

Instant Pacer::next_send() const {
  if (may_send()) return updated_;
  return updated_ + Duration(static_cast<Duration::rep>(std::ceil(debt_bytes_ * ns_per_byte_)));
}

}  // namespace culvert::quic
