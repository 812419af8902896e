#include "role/reconnect.h"

#include <algorithm>
#include <utility>

namespace culvert::role {

void Reconnect::on_lost(Instant now) {
  if (is_active_) return;
  is_active_ = true;
  next_attempt_ = now;
}

void Reconnect::on_attempt(Instant now) {
  if (!postponed_) ++attempts_;
  last_attempt_ = now;
  next_attempt_ = kNever;
}

void Reconnect::on_wanted(Instant now) {
  if (next_attempt_ == kNever || postponed_) return;
  const Instant due = std::max({now, not_before_, last_attempt_ + limits::kReconnectDelayFirst});
  if (due >= next_attempt_) return;
  postponed_ = next_attempt_;
  next_attempt_ = due;
}

bool Reconnect::on_failed(Instant now, Duration wait) {
  if (postponed_) {
    not_before_ = now + wait;
    next_attempt_ = std::max({now, not_before_, *std::exchange(postponed_, std::nullopt)});
    return true;
  }
  if (max_attempts_ && attempts_ >= *max_attempts_) return false;
  // Many clients of a server that comes back must not knock at the same moment: a pause is
  // between half and the whole of its length.
  const auto jitter =
      static_cast<Duration::rep>(rng_.unit() * 0.5 * static_cast<double>(pause_.count()));
  not_before_ = now + wait;
  next_attempt_ = std::max(now + pause_ - Duration(jitter), not_before_);
  pause_ = std::min(2 * pause_, limits::kReconnectDelayMost);
  return true;
}

void Reconnect::on_connected() {
  is_active_ = false;
  attempts_ = 0;
  postponed_.reset();
  pause_ = limits::kReconnectDelayFirst;
  next_attempt_ = kNever;
}

void Reconnect::on_network_changed(Instant now) {
  pause_ = limits::kReconnectDelayFirst;
  if (postponed_) postponed_ = std::max(now, not_before_);
  if (next_attempt_ != kNever) next_attempt_ = std::max(now, not_before_);
}

}  // namespace culvert::role
