// In every simulation test: when it ends, says which probes (base/probe.h) its scenarios have hit,
// in the file that CULVERT_PROBE_FILE names. tests/sim/probes puts them together.
#include "base/probe.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace culvert::sim {
namespace {

class ProbeReport final : public testing::Environment {
 public:
  void TearDown() override {
    const char* path = std::getenv("CULVERT_PROBE_FILE");
    if (path == nullptr) return;
    std::ofstream file(path, std::ios::trunc);
    for (const Probe* probe = Probe::first_hit(); probe != nullptr; probe = probe->next_hit()) {
      file << probe->hits() << ' ' << probe->name() << '\n';
    }
    EXPECT_TRUE(file.good()) << path;
  }
};

// The test framework owns it.
[[maybe_unused]] const testing::Environment* const kReport =
    testing::AddGlobalTestEnvironment(new ProbeReport);

}  // namespace
}  // namespace culvert::sim
