// The sessions of all workers of a server, counted together. Asked when a client logs in, leaves,
// is lost or comes back.
#pragma once

#include "session/session_places.h"

#include <mutex>

namespace culvert::app {

class SharedSessionPlaces final : public session::SessionGate {
 public:
  [[nodiscard]] Verdict admit(const Candidate& candidate,
                              const session::SessionLimits& limits) override {
    const std::scoped_lock lock(mutex_);
    return places_.admit(candidate, limits);
  }
  void suspend(Instant now, std::uint64_t session) override {
    const std::scoped_lock lock(mutex_);
    places_.suspend(now, session);
  }
  void resume(std::uint64_t session) override {
    const std::scoped_lock lock(mutex_);
    places_.resume(session);
  }
  void leave(std::uint64_t session) override {
    const std::scoped_lock lock(mutex_);
    places_.leave(session);
  }
  [[nodiscard]] std::size_t size() const override {
    const std::scoped_lock lock(mutex_);
    return places_.size();
  }

 private:
  mutable std::mutex mutex_;
  session::SessionPlaces places_;
};

}  // namespace culvert::app
