// The loop of a scenario of which a seed draws everything. What runs it is a suite whose name ends
// in Seeds: the g++ build runs those alone, and tests/sim/traces compares what they leave behind
// with what clang's build did.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace culvert::sim {

struct SeedOutcome {
  std::string why;               // empty: all is right
  std::uint64_t trace_hash = 0;  // World's
};

// Runs seeds 1 to `seeds`, or to CULVERT_SIM_SEEDS times `share`, or CULVERT_SIM_SEED alone. The
// test fails for each that is not right, up to three; every twentieth runs twice, and makes the
// same of it. Their hashes go to a file of the test's name in CULVERT_TRACE_DIRECTORY, "SEED HASH"
// a line. How many it ran; 0 for one alone, which need not reach what the scenario is for.
std::uint64_t try_seeds(std::uint64_t seeds,
                        const std::function<SeedOutcome(std::uint64_t seed)>& run,
                        double share = 1);

}  // namespace culvert::sim
