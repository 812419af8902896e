// What the scenarios of outages share: flows begin at drawn times, and whatever happens to the
// network meanwhile, bytes are exact, nothing is left over, and the tunnel works afterwards.
#pragma once

#include "tests/sim/tunnel_world.h"

#include <cstdint>
#include <string>
#include <vector>

namespace culvert::sim {

struct PlannedFlow {
  FlowPlan plan;
  Duration start{};  // after the client has connected
};

// A number from the environment: CULVERT_SIM_SEED, CULVERT_SIM_SEEDS.
[[nodiscard]] std::uint64_t number_from_environment(const char* name, std::uint64_t fallback);

[[nodiscard]] bool is_over(const std::unique_ptr<Talker>& talker);

// Runs the flows, to which outages have been added by World::after(), to their end. With
// `may_reset`, flows may be reset, but still not be wrong. Empty: all is right; otherwise what
// is not.
[[nodiscard]] std::string outlive(TunnelWorld& tunnel, const std::vector<PlannedFlow>& flows,
                                  bool may_reset);

}  // namespace culvert::sim
