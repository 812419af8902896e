// A world with its own time: one event queue, one clock, one source of randomness.
// Everything that happens in a simulation happens because of an event here, so a seed
// replays it exactly. Plain C++: no test framework inside.
#pragma once

#include "base/address.h"
#include "base/rng.h"
#include "base/time.h"

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace culvert::sim {

using Action = std::move_only_function<void(Instant now)>;

class World {
 public:
  // Time starts at one second: a zero clock hides bugs.
  explicit World(std::uint64_t seed);

  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] Instant now() const { return now_; }
  // A generator of its own for each component, by name: adding one does not shift another's.
  [[nodiscard]] SeededRng rng_for(std::string_view component) const;

  // Runs `action` at `when` (now if that is past). Same time: first come, first served.
  void at(Instant when, Action action);
  void after(Duration delay, Action action) { at(now_ + delay, std::move(action)); }

  // Runs events until `done()` holds, time reaches `deadline`, or nothing is left to do.
  // Returns done(). More than `event_budget` events is a livelock: is_livelocked().
  bool run_until(const std::function<bool()>& done, Instant deadline);
  void run_for(Duration duration);
  // Called between two events, before the first one of each second in which something happens. It
  // changes nothing: for oracles.
  std::function<void(Instant now)> on_second;
  void set_event_budget(std::uint64_t budget) { event_budget_ = budget; }
  [[nodiscard]] bool is_livelocked() const { return events_run_ >= event_budget_; }
  [[nodiscard]] std::uint64_t events_run() const { return events_run_; }

  // Folds an observation into the trace hash; two runs of a seed must agree.
  void trace(std::uint64_t a, std::uint64_t b = 0, std::uint64_t c = 0);
  [[nodiscard]] std::uint64_t trace_hash() const { return trace_hash_; }

 private:
  struct Event {
    Instant when;
    std::uint64_t sequence;
    Action action;
  };
  static bool is_later(const Event& a, const Event& b);

  const std::uint64_t seed_;
  SeededRng root_;
  Instant now_;
  Instant next_second_{};
  std::vector<Event> heap_;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t events_run_ = 0;
  std::uint64_t event_budget_ = 50'000'000;
  std::uint64_t trace_hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace culvert::sim
