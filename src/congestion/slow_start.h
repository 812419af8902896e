// When slow start has gone on for long enough (HyStart++, RFC 9406): the round trip has begun to
// grow, so there is a queue. Then growth is a quarter for some rounds, in case it was chance.
// Sans-I/O, O(1).
#pragma once

#include "base/time.h"

#include <algorithm>
#include <utility>

namespace culvert::congestion {

class SlowStart {
 public:
  [[nodiscard]] bool is_over() const { return is_over_; }
  void end() { is_over_ = true; }

  void on_round_trip(Duration rtt) {
    least_of_round_ = std::min(least_of_round_, rtt);
    if (++samples_ < kSamples || least_of_last_ == Duration::max()) return;
    if (is_conservative_) {
      if (least_of_round_ < baseline_) is_conservative_ = false;
    } else if (least_of_round_ >=
               least_of_last_ + std::clamp(least_of_last_ / kPart, kLeast, kMost)) {
      is_conservative_ = true;
      baseline_ = least_of_round_;
      rounds_ = 0;
    }
  }
  // A packet is acknowledged that was sent in this round.
  void end_round() {
    least_of_last_ = std::exchange(least_of_round_, Duration::max());
    samples_ = 0;
    if (is_conservative_ && ++rounds_ >= kConservativeRounds) is_over_ = true;
  }
  // Of what is acknowledged, what the window grows by.
  [[nodiscard]] double growth(double acked) const {
    return is_conservative_ ? acked / kConservativeDivisor : acked;
  }

 private:
  // RFC 9406 4.3.
  static constexpr int kPart = 8;  // of a round trip
  static constexpr Duration kLeast = std::chrono::milliseconds(4);
  static constexpr Duration kMost = std::chrono::milliseconds(16);
  static constexpr unsigned kSamples = 8;
  static constexpr double kConservativeDivisor = 4;
  static constexpr unsigned kConservativeRounds = 5;

  bool is_over_ = false;
  bool is_conservative_ = false;
  unsigned rounds_ = 0;
  unsigned samples_ = 0;
  Duration least_of_round_ = Duration::max();
  Duration least_of_last_ = Duration::max();
  Duration baseline_{};
};

}  // namespace culvert::congestion
