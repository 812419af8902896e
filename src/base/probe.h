// CULVERT_PROBE("area.what happened"): says that a rare branch was taken, so that the tests can
// tell whether anything takes it. The name is unique and its area a module; the simulation
// fails when none of its scenarios took one (tests/sim/probes).
//
// Nothing of the product can see a probe: it has no result, and without CULVERT_PROBES (builds
// without tests) it is nothing at all. With it, each has a static counter that is linked into a
// list when it is first hit: one relaxed increment on a branch that is rare by definition. Any
// thread may hit one.
#pragma once

#ifdef CULVERT_PROBES

#include <atomic>
#include <cstdint>

namespace culvert {

class Probe {
 public:
  constexpr explicit Probe(const char* name) : name_(name) {}
  void hit() {
    if (hits_.fetch_add(1, std::memory_order_relaxed) == 0) link();
  }
  [[nodiscard]] const char* name() const { return name_; }
  [[nodiscard]] std::uint64_t hits() const { return hits_.load(std::memory_order_relaxed); }

  // Those that were hit, the latest first; nullptr: no more.
  [[nodiscard]] static const Probe* first_hit();
  [[nodiscard]] const Probe* next_hit() const { return next_; }

 private:
  void link();

  const char* name_;
  std::atomic<std::uint64_t> hits_{0};
  const Probe* next_ = nullptr;  // set before it is in the list, never after
};

}  // namespace culvert

#define CULVERT_PROBE(name)                                \
  do {                                                     \
    static constinit ::culvert::Probe culvert_probe(name); \
    culvert_probe.hit();                                   \
  } while (false)

#else

#define CULVERT_PROBE(name) static_cast<void>(0)

#endif
