// The clock that ngtcp2 is shown: ours, less the time in which the program did not run. Sans-I/O.
//
// A program that was stopped finds its timers overdue and old packets waiting. Were that time
// shown, the next acknowledgement would tell of a round trip as long as the stop, and every timeout
// would follow from that for minutes.
#pragma once

#include "base/time.h"

#include <cstdint>

namespace culvert::quic {

class StoppedClock {
 public:
  explicit StoppedClock(Instant now) : last_(now) {}

  // What this clock shows at `now` of ours. It never goes back (ngtcp2 asserts that): a batch may
  // carry a `now` that was read before the connection was made.
  Instant advance(Instant now);
  // What it showed last, and the same in our time.
  [[nodiscard]] Instant last() const { return last_; }
  [[nodiscard]] Instant last_of_ours() const { return to_ours(last_); }
  // An instant of this clock, such as a timer; kNever stays.
  [[nodiscard]] Instant to_ours(Instant shown) const;

  enum class Stop : std::uint8_t {
    none,
    made_up_for,  // the clock stood still until now
    too_long,     // the peer has given up by now; the clock is as it was
  };
  // Whether so long went by since advance() that account_for_stop() has anything to look at.
  [[nodiscard]] bool is_suspicious(Instant now) const { return now - behind_ >= last_ + kStopped; }
  // To be called before advance(). The program did not run if a timer for `due`, of this clock, is
  // served late, and nothing else happened meanwhile. `patience`: the idle timeout.
  Stop account_for_stop(Instant now, Instant due, Duration patience);

 private:
  static constexpr Duration kStopped = std::chrono::seconds(1);  // a timer that is served so late

  Instant last_;
  Duration behind_{};
};

}  // namespace culvert::quic
