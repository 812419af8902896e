// File descriptors of this process, of which flows leave some to the rest: listeners, the
// control interface and files must work while as many flows run as can.
#pragma once

#include "base/result.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace culvert::net {

// Makes the soft limit the hard one, limits::kMaxDescriptors at most. At the start.
void raise_descriptor_limit();

// What a flow is refused with that found none.
[[nodiscard]] Error no_descriptor(std::string offender);

// What an open listener of a tunnel holds: a place among those that listeners may have.
class ListenerPlace {
 public:
  ListenerPlace() = default;
  explicit ListenerPlace(std::atomic<std::uint32_t>& count) : count_(&count) {}  // counted already
  ListenerPlace(ListenerPlace&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  ListenerPlace& operator=(ListenerPlace&& other) noexcept {
    std::swap(count_, other.count_);
    return *this;
  }
  ~ListenerPlace() {
    if (count_ != nullptr) count_->fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint32_t>* count_ = nullptr;
};

// The kernel gives the lowest free number, so a number tells how many are taken at least: flows
// have those below a bound. Needs no count, and knows of every descriptor, whoever opened it.
// Owned by a HostGroup; any thread.
class DescriptorBudget {
 public:
  DescriptorBudget();  // by the limit of now

  [[nodiscard]] bool is_for_flows(int fd) const { return fd < bound_; }
  // Whether the next descriptor, made beside the open `fd`, will be.
  [[nodiscard]] bool has_room(int fd) const;
  // How many more flows could have one now, at most.
  [[nodiscard]] std::uint32_t room() const;
  // Of a listener of a tunnel that has the open `fd`. All of them have half of what flows may
  // have, or a range of ports would leave none to the flows that it is for; and they may have the
  // first half of what flows leave, so that one can be opened while flows have all of theirs.
  [[nodiscard]] Result<ListenerPlace> take_listener(int fd, const std::string& name);

 private:
  int bound_;
  int listener_bound_;
  std::uint32_t most_listeners_;
  std::atomic<std::uint32_t> listeners_ = 0;
};

}  // namespace culvert::net
