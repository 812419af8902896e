#include "sim/world.h"

#include <algorithm>
#include <utility>

namespace culvert::sim {
namespace {

constexpr std::uint64_t kFnvPrime = 0x100000001b3ULL;

std::uint64_t label_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * kFnvPrime;
  return hash;
}

}  // namespace

World::World(std::uint64_t seed)
    : seed_(seed), root_(seed), now_(Instant{} + std::chrono::seconds(1)) {}

SeededRng World::rng_for(std::string_view component) const {
  return root_.split(label_of(component));
}

bool World::is_later(const Event& a, const Event& b) {
  return a.when != b.when ? a.when > b.when : a.sequence > b.sequence;
}

void World::at(Instant when, Action action) {
  heap_.push_back({std::max(when, now_), next_sequence_++, std::move(action)});
  std::ranges::push_heap(heap_, is_later);
}

bool World::run_until(const std::function<bool()>& done, Instant deadline) {
  while (!done()) {
    if (heap_.empty() || heap_.front().when > deadline) {
      now_ = std::max(now_, deadline);
      return done();
    }
    if (is_livelocked()) return false;
    ++events_run_;
    std::ranges::pop_heap(heap_, is_later);
    Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ = event.when;
    if (on_second && now_ >= next_second_) {
      next_second_ = Instant{std::chrono::floor<std::chrono::seconds>(now_.time_since_epoch())} +
                     std::chrono::seconds(1);
      on_second(now_);
    }
    event.action(now_);
  }
  return true;
}

void World::run_for(Duration duration) {
  run_until([] { return false; }, now_ + duration);
}

void World::trace(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  for (const std::uint64_t value :
       {static_cast<std::uint64_t>(now_.time_since_epoch().count()), a, b, c}) {
    trace_hash_ = (trace_hash_ ^ value) * kFnvPrime;
    trace_hash_ ^= trace_hash_ >> 29;
  }
}

}  // namespace culvert::sim
