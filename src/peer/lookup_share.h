// How many names one session of a server is having looked up, and may: a client must not take the
// lookups of all, whose names may all be slow. Private to drive/.
#pragma once

#include "base/limits.h"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>

namespace culvert::peer {

// Owned by a session, on the worker's thread.
class LookupShare {
 public:
  [[nodiscard]] bool is_full() const { return *used_ >= limits::kMaxSessionLookups; }
  // Why a flow is refused then.
  [[nodiscard]] std::string refusal() const {
    return fmt::format("Session limit reached ({} names of this client are being looked up)",
                       limits::kMaxSessionLookups);
  }

 private:
  friend class LookupUse;
  // Shared with lookups, which may outlive the session for the rest of a turn.
  std::shared_ptr<std::uint32_t> used_ = std::make_shared<std::uint32_t>(0);
};

// A member of a lookup, as long as it is under way.
class LookupUse {
 public:
  explicit LookupUse(const LookupShare& share) : used_(share.used_) { ++*used_; }
  ~LookupUse() { release(); }
  LookupUse(const LookupUse&) = delete;
  LookupUse& operator=(const LookupUse&) = delete;
  void release() {
    if (used_) --*used_;
    used_.reset();
  }

 private:
  std::shared_ptr<std::uint32_t> used_;  // shared with the LookupShare
};

}  // namespace culvert::peer
