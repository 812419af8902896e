#include "congestion/cubic.h"

#include <algorithm>
#include <utility>

namespace culvert::congestion {
namespace {

constexpr double kFirstPackets = 10;  // RFC 9002 7.2

}  // namespace

Cubic::Cubic(std::size_t packet_bytes, Start start) : packet_(static_cast<double>(packet_bytes)) {
  window_.start(Instant{}, start == Start::fresh ? kFirstPackets * packet_ : 0, packet_);
}

void Cubic::on_ack(Instant now, const Ack& ack) {
  if (ack.acked == 0) return;
  const auto acked = static_cast<double>(ack.acked);
  if (ack.rtt > Duration::zero()) {
    rtt_ = ack.rtt;
    slow_start_.on_round_trip(ack.rtt);
  }
  if (ack.prior_delivered >= round_ends_at_) {
    round_ends_at_ = ack.delivered;
    slow_start_.end_round();
  }
  // RFC 9002 7.3.2, 7.8: neither the flows in recovery nor where the window was not filled.
  const bool is_recovering = now - rtt_ < recovering_since_;
  const auto was_in_flight = static_cast<double>(ack.in_flight) + acked;
  const bool is_filled = !ack.is_app_limited || window_.bytes() < 2 * was_in_flight;
  const double growing = is_recovering ? unhit_ : 1;
  if (growing <= 0 || !is_filled) {
    window_.pause();
  } else if (slow_start_.is_over()) {
    window_.on_ack(now, rtt_, growing * acked);
  } else {
    window_.start(now, window_.bytes() + slow_start_.growth(acked), packet_);
  }
}

void Cubic::on_lost(Instant now, Instant sent, std::uint64_t bytes) {
  if (cut(now, sent)) lost_since_cut_ = 0;
  lost_since_cut_ += bytes;
}

void Cubic::on_marked(Instant now, Instant sent) {
  if (cut(now, sent)) may_undo_ = false;
}

bool Cubic::cut(Instant now, Instant sent) {
  const bool is_first = sent >= recovering_since_;
  if (is_first) {
    window_before_cut_ = window_;
    slow_start_before_cut_ = slow_start_;
    may_undo_ = true;
    recovering_since_ = now;
    unhit_ = 1;
    slow_start_.end();
  }
  window_.on_congestion(now, unhit_);
  unhit_ *= 1 - 1.0 / window_.flows();
  return is_first;
}

// RFC 9438 4.9.
void Cubic::on_found(std::uint64_t bytes) {
  lost_since_cut_ -= std::min(lost_since_cut_, bytes);
  if (lost_since_cut_ > 0 || !std::exchange(may_undo_, false)) return;
  if (window_before_cut_.bytes() > window_.bytes()) window_ = window_before_cut_;
  slow_start_ = slow_start_before_cut_;
  recovering_since_ = Instant{};
}

}  // namespace culvert::congestion
