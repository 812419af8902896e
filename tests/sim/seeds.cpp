#include "tests/sim/seeds.h"

#include "tests/sim/survival.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace culvert::sim {
namespace {

constexpr int kMostFailures = 3;
constexpr std::uint64_t kReplayed = 20;  // one in so many

// Closed, and so writing nothing, unless the environment names a directory.
std::ofstream trace_file() {
  const char* directory = std::getenv("CULVERT_TRACE_DIRECTORY");
  if (directory == nullptr) return {};
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const std::string path =
      std::string(directory) + "/" + test->test_suite_name() + "." + test->name();
  std::ofstream file(path, std::ios::trunc);
  EXPECT_TRUE(file.good()) << path;
  return file;
}

}  // namespace

std::uint64_t try_seeds(std::uint64_t seeds, const std::function<SeedOutcome(std::uint64_t)>& run,
                        double share) {
  if (std::getenv("CULVERT_SIM_SEED") != nullptr) {
    EXPECT_EQ(run(number_from_environment("CULVERT_SIM_SEED", 0)).why, "");
    return 0;
  }
  if (std::getenv("CULVERT_SIM_SEEDS") != nullptr) {
    const auto asked = static_cast<double>(number_from_environment("CULVERT_SIM_SEEDS", 0));
    seeds = static_cast<std::uint64_t>(share * asked);
  }
  std::ofstream traces = trace_file();
  int failures = 0;
  for (std::uint64_t seed = 1; seed <= seeds && failures < kMostFailures; ++seed) {
    const SeedOutcome outcome = run(seed);
    if (traces.is_open()) traces << seed << ' ' << outcome.trace_hash << '\n';
    if (outcome.why.empty() && seed % kReplayed == 0 &&
        run(seed).trace_hash != outcome.trace_hash) {
      ++failures;
      ADD_FAILURE() << "CULVERT_SIM_SEED=" << seed << ": another run of it is another one";
    }
    if (outcome.why.empty()) continue;
    ++failures;
    ADD_FAILURE() << "CULVERT_SIM_SEED=" << seed << ": " << outcome.why;
  }
  return seeds;
}

}  // namespace culvert::sim
