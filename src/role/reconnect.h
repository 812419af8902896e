// When a client that has lost its server tries again. Sans-I/O.
#pragma once

#include "base/limits.h"
#include "base/rng.h"
#include "base/time.h"

#include <cstdint>
#include <optional>

namespace culvert::role {

class Reconnect {
 public:
  // `max_attempts` in a row without success; empty: for ever.
  Reconnect(Rng& rng, std::optional<std::uint32_t> max_attempts)
      : rng_(rng), max_attempts_(max_attempts) {}

  // The connection is gone, or seems to be: the first try is due at once.
  void on_lost(Instant now);
  // The next try is under way.
  void on_attempt(Instant now);
  // It failed; the next is due after a pause that doubles, with jitter, or after `wait` when
  // the server asked for that. False: that was the last.
  [[nodiscard]] bool on_failed(Instant now, Duration wait = {});
  // A connection works: forget the past.
  void on_connected();
  // Somebody has a use for the server now: there is a try at once, unless the last one began just
  // before. It changes nothing about those that wait, and counts as none of them.
  void on_wanted(Instant now);
  // A waiting try is due at once, and the pauses begin anew.
  void on_network_changed(Instant now);

  [[nodiscard]] Instant next_attempt() const { return next_attempt_; }
  [[nodiscard]] std::uint32_t attempts() const { return attempts_; }
  // From on_lost() to on_connected().
  [[nodiscard]] bool is_active() const { return is_active_; }

 private:
  Rng& rng_;
  std::optional<std::uint32_t> max_attempts_;
  std::uint32_t attempts_ = 0;
  Duration pause_ = limits::kReconnectDelayFirst;
  Instant next_attempt_ = kNever;
  Instant not_before_{};  // by the server's wish
  Instant last_attempt_{};
  std::optional<Instant> postponed_;  // the try that waits behind one that was wanted
  bool is_active_ = false;
};

}  // namespace culvert::role
