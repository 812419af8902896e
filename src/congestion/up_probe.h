// Probes for more bandwidth: by how much each sends more than the bottleneck was known to deliver,
// and how things stood before it. Sans-I/O, O(1).
#pragma once

#include "base/time.h"

#include <algorithm>

namespace culvert::congestion {

class UpProbe {
 public:
  void begin(double gain, double bandwidth, Duration queue) {
    gain_ = gain;
    bandwidth_before_ = bandwidth;
    queue_before_ = queue;
  }
  // Likewise where it is something else than a probe that ends now.
  void note_bandwidth(double bandwidth) { bandwidth_before_ = bandwidth; }
  void note_queue(Duration queue) { queue_before_ = queue; }

  [[nodiscard]] double gain() const { return gain_; }
  [[nodiscard]] double bandwidth_before() const { return bandwidth_before_; }
  [[nodiscard]] Duration queue_before() const { return queue_before_; }

  // The next that looks for a little more. It asks for more each time, until one loses packets.
  [[nodiscard]] double next_gain() const { return next_gain_; }
  void raise_next() { next_gain_ = std::min(next_gain_ + kRise, kMost); }
  void lower_next() { next_gain_ = 1 + std::max((next_gain_ - 1) / 2, kLeast); }

 private:
  static constexpr double kMost = 1.25;
  static constexpr double kLeast = 0.03;  // over 1
  static constexpr double kRise = 0.01;

  double gain_ = 0;
  double next_gain_ = kMost;
  double bandwidth_before_ = 0;
  Duration queue_before_{};
};

}  // namespace culvert::congestion
