// What SIGINT and SIGTERM ask for: the first a polite stop, the next an immediate one. timeout(1)
// and some supervisors send each twice, to the process and to its group: that is one wish.
#pragma once

#include "base/time.h"

#include <chrono>
#include <cstdint>
#include <optional>

namespace culvert::app {

enum class StopWish : std::uint8_t {
  none,     // a repetition
  polite,   // flows may end by themselves
  at_once,  // they may not, but peers are told
  now,      // nobody is told: whatever still runs seems to hang
};

class StopSignals {
 public:
  [[nodiscard]] StopWish note(Instant now) {
    // Longer than it takes to send twice, shorter than a person does.
    constexpr Duration kRepetition = std::chrono::milliseconds(200);
    if (last_ && now - *last_ < kRepetition) return StopWish::none;
    last_ = now;
    if (wish_ != StopWish::now) wish_ = static_cast<StopWish>(static_cast<int>(wish_) + 1);
    return wish_;
  }

 private:
  StopWish wish_ = StopWish::none;
  std::optional<Instant> last_;
};

}  // namespace culvert::app
