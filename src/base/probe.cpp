#include "base/probe.h"

#ifdef CULVERT_PROBES

namespace culvert {
namespace {

constinit std::atomic<const Probe*> hit_probes{nullptr};

}  // namespace

const Probe* Probe::first_hit() {
  return hit_probes.load(std::memory_order_acquire);
}

void Probe::link() {
  next_ = hit_probes.load(std::memory_order_relaxed);
  while (!hit_probes.compare_exchange_weak(next_, this, std::memory_order_release,
                                           std::memory_order_relaxed)) {
  }
}

}  // namespace culvert

#endif
