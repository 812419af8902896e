// The place that one session of a server has among all (session/session_places.h), given back
// with it. Private to drive/.
#pragma once

#include "base/time.h"
#include "session/session_places.h"

#include <cstdint>
#include <utility>

namespace culvert::peer {

// Owned by whoever greets the client, then by its session.
class SessionPlace {
 public:
  SessionPlace() = default;  // none
  // `gate` has admitted the session; outlives this.
  SessionPlace(session::SessionGate& gate, std::uint64_t session)
      : gate_(&gate), session_(session) {}
  SessionPlace(SessionPlace&& other) noexcept
      : gate_(std::exchange(other.gate_, nullptr)), session_(other.session_) {}
  SessionPlace& operator=(SessionPlace&& other) noexcept {
    std::swap(gate_, other.gate_);
    std::swap(session_, other.session_);
    return *this;
  }
  ~SessionPlace() { leave(); }

  [[nodiscard]] std::uint64_t session() const { return session_; }
  // Its client is away; the place may be needed by another.
  void suspend(Instant now) { gate_->suspend(now, session_); }
  void resume() { gate_->resume(session_); }
  void leave() {
    if (gate_ != nullptr) std::exchange(gate_, nullptr)->leave(session_);
  }

 private:
  session::SessionGate* gate_ = nullptr;
  std::uint64_t session_ = 0;
};

}  // namespace culvert::peer
