#include "congestion/cubic_window.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace culvert::congestion {
namespace {

// RFC 9438 4.1, 4.6 and 4.3.
constexpr double kC = 0.4;  // packets a second cubed
constexpr double kBeta = 0.7;
constexpr double kMostGrowth = 1.5;  // a round trip (4.2)
constexpr double kLeastPackets = 4;

// One of so many flows cuts its share.
double beta_of(double flows) {
  return (flows - 1 + kBeta) / flows;
}

// What gives Reno's rate with that cut, of so many flows (RFC 9438 4.3 has one).
double alpha_of(double flows) {
  return 3 * flows * flows * (1 - beta_of(flows)) / (1 + beta_of(flows));
}

}  // namespace

void CubicWindow::set_flows(unsigned flows) {
  flows_ = std::clamp(flows, 1U, kMostFlows);
}

void CubicWindow::start(Instant now, double window, double packet) {
  packet_ = packet;
  window_ = greatest_ = std::max(window, kLeastPackets * packet);
  begin_epoch(now);
}

void CubicWindow::begin_epoch(Instant now) {
  is_paused_ = false;
  epoch_ = now;
  reno_ = window_;
  rise_ = std::cbrt(std::max(greatest_ - window_, 0.0) / packet_ / kC);
}

void CubicWindow::on_ack(Instant now, Duration rtt, double acked) {
  if (std::exchange(is_paused_, false)) begin_epoch(now);
  const double after = in_seconds(now - epoch_ + rtt) - rise_;
  const double target =
      std::clamp(greatest_ + kC * after * after * after * packet_, window_, kMostGrowth * window_);
  window_ += (target - window_) * acked / window_;
  reno_ += (reno_ < greatest_ ? alpha_of(flows_) : flows_) * packet_ * acked / reno_;
  window_ = std::max(window_, reno_);
}

void CubicWindow::on_congestion(Instant now, double share) {
  // Less than it had before: others have come, and get their place sooner.
  const double greatest = window_ < greatest_ ? window_ * (1 + kBeta) / 2 : window_;
  greatest_ += (greatest - greatest_) * share / flows_;
  window_ = std::max(window_ * (1 - (1 - kBeta) * share / flows_), kLeastPackets * packet_);
  begin_epoch(now);
}

}  // namespace culvert::congestion
