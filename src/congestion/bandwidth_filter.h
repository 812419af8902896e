// How much a bottleneck delivers: the greatest of the samples of the last rounds. Sans-I/O, O(1).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace culvert::congestion {

class BandwidthFilter {
 public:
  // As many rounds tell of the present where the path has become slower.
  static constexpr std::size_t kNewTimesRounds = 3;

  // Bytes a second, in the round with this number.
  void add(std::uint64_t round, double sample) {
    if (newest_round_ != round) {
      newest_round_ = round;
      newest_ = (newest_ + 1) % kRounds;
      rounds_[newest_] = 0;
    }
    rounds_[newest_] = std::max(rounds_[newest_], sample);
  }
  // Zero: none is known.
  [[nodiscard]] double greatest() const { return *std::ranges::max_element(rounds_); }
  // Of the last round that told one.
  [[nodiscard]] double newest() const { return rounds_[newest_]; }
  // What is greater than all of the last rounds was of other times.
  void forget_older() {
    double newer = 0;
    for (std::size_t i = 0; i < kNewTimesRounds; ++i) {
      newer = std::max(newer, rounds_[(newest_ + kRounds - i) % kRounds]);
    }
    for (double& bandwidth : rounds_) bandwidth = std::min(bandwidth, newer);
  }

 private:
  static constexpr std::size_t kRounds = 10;

  std::array<double, kRounds> rounds_{};  // the greatest of each that told one
  std::size_t newest_ = 0;
  std::uint64_t newest_round_ = 0;
};

}  // namespace culvert::congestion
