// A wire between two packet devices: the simulation's Link in each direction, over
// descriptors that carry one packet a read or write (TUN devices; in tests socket pairs).
// The caller has the clock. One thread; the descriptors are borrowed and non-blocking.
#pragma once

#include "base/rng.h"
#include "base/time.h"
#include "sim/link.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace culvert::bench {

// How late packets left, in steps: what the real clock and scheduler add to a Link.
class Lateness {
 public:
  void add(Duration late);
  [[nodiscard]] Duration percentile(double fraction) const;  // rounded up to a step
  [[nodiscard]] Duration max() const { return max_; }

 private:
  static constexpr Duration kStep = std::chrono::microseconds(50);
  static constexpr std::size_t kSteps = 1000;  // the last: 50 ms and more
  std::array<std::uint64_t, kSteps> counts_{};
  std::uint64_t total_ = 0;
  Duration max_{};
};

struct WireStats {
  sim::LinkStats link;
  std::uint64_t refused = 0;  // the device took no packet: down, or out of memory
};

class Wire {
 public:
  // `ends[0]` is near, `ends[1]` far; `up` is from near to far.
  Wire(std::array<int, 2> ends, const sim::LinkConfig& up, const sim::LinkConfig& down,
       std::uint64_t seed);

  // Takes what waits at both ends (bounded) and hands over what is due; returns how many
  // packets moved.
  std::size_t turn(Instant now);
  [[nodiscard]] Instant next_delivery() const;

  [[nodiscard]] WireStats up() const { return {ways_[0].link.stats(), ways_[0].refused}; }
  [[nodiscard]] WireStats down() const { return {ways_[1].link.stats(), ways_[1].refused}; }
  [[nodiscard]] const Lateness& lateness() const { return lateness_; }
  void forget_lateness() { lateness_ = {}; }

 private:
  struct Way {
    int from;
    int to;
    sim::Link link;
    SeededRng rng;
    std::uint64_t refused = 0;
  };
  std::size_t take(Way& way, Instant now);
  std::size_t hand_over(Way& way, Instant now);

  std::array<Way, 2> ways_;
  Lateness lateness_;
};

}  // namespace culvert::bench
