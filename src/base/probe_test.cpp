#include "base/probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>  // purity: probes may be hit by any thread
#include <vector>

namespace culvert {
namespace {

void take_a_branch(bool is_rare) {
  if (is_rare) CULVERT_PROBE("base.a rare branch of the test");
}
void take_another() {
  CULVERT_PROBE("base.another");
}

std::uint64_t hits_of(std::string_view name) {
  for (const Probe* probe = Probe::first_hit(); probe != nullptr; probe = probe->next_hit()) {
    if (probe->name() == name) return probe->hits();
  }
  return 0;
}

TEST(Probe, is_listed_once_it_was_hit) {
  take_a_branch(false);
  EXPECT_EQ(hits_of("base.a rare branch of the test"), 0U);
  take_a_branch(true);
  take_a_branch(true);
  EXPECT_EQ(hits_of("base.a rare branch of the test"), 2U);
}

TEST(Probe, counts_for_every_thread) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int n = 0; n < 1'000; ++n) take_another();
    });
  }
  threads.clear();
  EXPECT_EQ(hits_of("base.another"), 4'000U);
}

}  // namespace
}  // namespace culvert
