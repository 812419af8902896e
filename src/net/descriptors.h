// File descriptors of this process, of which flows leave some to the rest: listeners, the
// control interface and files must work while as many flows run as can.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace culvert::net {

// Makes the soft limit the hard one, limits::kMaxDescriptors at most. At the start.
void raise_descriptor_limit();

// What a flow is refused with that found none.
[[nodiscard]] Error no_descriptor(std::string offender);

// What a descriptor is for.
enum class Purpose : std::uint8_t { flow, process };

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

 private:
  int bound_;
};

}  // namespace culvert::net
