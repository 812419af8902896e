#include "congestion/cubic_window.h"

#include <algorithm>
#include <cmath>

namespace culvert::congestion {
namespace {

// RFC 9438 4.1, 4.6 and 4.3.
constexpr double kC = 0.4;  // packets a second cubed
constexpr double kBeta = 0.7;
constexpr double kAlpha = 3 * (1 - kBeta) / (1 + kBeta);
constexpr double kMostGrowth = 1.5;  // a round trip (4.2)
constexpr double kLeastPackets = 4;

}  // namespace

void CubicWindow::start(Instant now, double window, double packet) {
  packet_ = packet;
  window_ = greatest_ = std::max(window, kLeastPackets * packet);
  begin_epoch(now);
}

void CubicWindow::begin_epoch(Instant now) {
  epoch_ = now;
  reno_ = window_;
  rise_ = std::cbrt(std::max(greatest_ - window_, 0.0) / packet_ / kC);
}

void CubicWindow::on_ack(Instant now, Duration rtt, double acked) {
  const double after = in_seconds(now - epoch_ + rtt) - rise_;
  const double target =
      std::clamp(greatest_ + kC * after * after * after * packet_, window_, kMostGrowth * window_);
  window_ += (target - window_) * acked / window_;
  reno_ += (reno_ < greatest_ ? kAlpha : 1.0) * packet_ * acked / reno_;
  window_ = std::max(window_, reno_);
}

void CubicWindow::on_congestion(Instant now) {
  // Less than it had before: others have come, and get their place sooner.
  greatest_ = window_ < greatest_ ? window_ * (1 + kBeta) / 2 : window_;
  window_ = std::max(window_ * kBeta, kLeastPackets * packet_);
  begin_epoch(now);
}

}  // namespace culvert::congestion
