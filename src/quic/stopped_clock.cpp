#include "quic/stopped_clock.h"

#include <algorithm>

namespace culvert::quic {

Instant StoppedClock::advance(Instant now) {
  last_ = std::max(last_, now - behind_);
  return last_;
}

Instant StoppedClock::to_ours(Instant shown) const {
  return shown == kNever ? kNever : shown + behind_;
}

StoppedClock::Stop StoppedClock::account_for_stop(Instant now, Instant due, Duration patience) {
  const Instant shown = now - behind_;
  if (!is_suspicious(now) || due >= shown || shown - due < kStopped) return Stop::none;
  if (shown - last_ >= patience) return Stop::too_long;
  behind_ += shown - due;
  return Stop::made_up_for;
}

}  // namespace culvert::quic
