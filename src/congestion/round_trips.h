// The round trips of a path: the least, which it has without a queue, and those of now, which show
// how long what leaves the bottleneck has waited there. Sans-I/O, O(1).
#pragma once

#include "base/time.h"

#include <algorithm>
#include <utility>

namespace culvert::congestion {

// The least of this span of time and of the one before.
class LeastOfLate {
 public:
  void add(Instant now, Duration span, Duration value) {
    if (now - since_ >= span && count_ >= kFewSamples) {
      before_ = std::exchange(now_, Duration::max());
      since_ = now;
      count_ = 0;
    }
    now_ = std::min(now_, value);
    ++count_;
  }
  // Zero: none was told.
  [[nodiscard]] Duration get() const {
    const Duration least = std::min(now_, before_);
    return least == Duration::max() ? Duration::zero() : least;
  }

 private:
  static constexpr unsigned kFewSamples = 8;  // too few for the least of them to tell anything

  Duration now_ = Duration::max();
  Duration before_ = Duration::max();
  Instant since_{};
  unsigned count_ = 0;
};

class RoundTrips {
 public:
  // The longest span that counts as now.
  static constexpr Duration kRecentMost = std::chrono::milliseconds(25);

  // Longer than zero.
  void add(Instant now, Duration rtt) {
    least_.add(now, kLeastSpan, rtt);
    recent_.add(now, std::clamp(min() / kRecentPart, kRecentLeast, kRecentMost), rtt);
    of_round_ = std::min(of_round_, rtt);
    if (rtt <= min() + kEmptyQueue) empty_at_ = now;
  }
  void begin_round() { of_round_ = Duration::max(); }

  // Zero: not known.
  [[nodiscard]] Duration min() const { return least_.get(); }
  [[nodiscard]] Duration recent() const { return recent_.get(); }
  // The least since begin_round(); Duration::max(): there was none.
  [[nodiscard]] Duration of_round() const { return of_round_; }
  // How long what leaves the bottleneck now has waited.
  [[nodiscard]] Duration queue() const { return recent() - min(); }
  // When the queue was last seen to be empty, or was made so.
  [[nodiscard]] Instant empty_at() const { return empty_at_; }
  void note_empty(Instant now) { empty_at_ = now; }

 private:
  static constexpr Duration kLeastSpan = std::chrono::seconds(30);
  static constexpr int kRecentPart = 4;  // of a round trip
  static constexpr Duration kRecentLeast = std::chrono::milliseconds(1);
  static constexpr Duration kEmptyQueue = std::chrono::microseconds(300);

  LeastOfLate least_;
  LeastOfLate recent_;
  Duration of_round_ = Duration::max();
  Instant empty_at_{};
};

}  // namespace culvert::congestion
