// One flow's backlog holds no other flow's credit: whatever number of readers has stopped or is
// slow, in either direction, who reads is served as without them (docs/decisions/0014).
#include "sim/world.h"
#include "tests/sim/survival.h"
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kEndless = 400'000'000;
constexpr std::uint32_t kAsGoodAsNever = 3'000'000'000;  // microseconds

struct Drawn {
  TunnelWorldConfig config;
  Duration round_trip{};
  std::vector<FlowPlan> readers;  // that have stopped or are slow
};

Drawn draw(std::uint64_t seed) {
  SeededRng rng(seed);
  Drawn drawn;
  const Duration one_way = milliseconds(1 + rng.below(50));
  drawn.round_trip = 2 * one_way;
  const std::uint64_t rate = 50'000'000 + rng.below(150'000'000);
  for (LinkConfig* link : {&drawn.config.client_up, &drawn.config.client_down}) {
    link->bits_per_second = rate;
    link->delay = one_way;
  }
  if (rng.below(3) == 0) {
    drawn.config.multipath = Multipath::aggregate;
    drawn.config.second_client_interface =
        SecondInterface{.up = drawn.config.client_up, .down = drawn.config.client_down};
  }
  const std::size_t stalled = rng.below(4) == 0 ? 200 + rng.below(400) : 1 + rng.below(60);
  const std::size_t slow = rng.below(4);
  for (std::size_t i = 0; i < stalled + slow; ++i) {
    FlowPlan plan{.seed = seed * 1'000 + i};
    (rng.below(2) == 0 ? plan.upload_bytes : plan.download_bytes) = kEndless;
    if (i < stalled) {
      plan.read_chunk_bytes = 1 + static_cast<std::uint32_t>(rng.below(2'000));
      plan.read_pause_us = kAsGoodAsNever;
    } else {  // 200 kB/s
      plan.read_chunk_bytes = 4'000;
      plan.read_pause_us = 20'000;
    }
    drawn.readers.push_back(plan);
  }
  return drawn;
}

// The longest of some requests, of 64 bytes and an answer of as many, each on a new connection.
Duration longest_request(std::uint64_t seed, const Drawn& drawn, bool with_readers) {
  TunnelWorld tunnel(seed, drawn.config);
  EXPECT_TRUE(tunnel.connect());
  if (with_readers) {
    for (const FlowPlan& plan : drawn.readers) tunnel.call(plan);
  }
  tunnel.world.run_for(seconds(30));  // they have what they take
  Duration longest{};
  for (std::uint64_t i = 0; i < 10; ++i) {
    const Instant start = tunnel.world.now();
    const Talker& quick = tunnel.call({.seed = i, .upload_bytes = 64, .download_bytes = 64});
    const bool is_over = tunnel.world.run_until(
        [&] { return quick.state() != Talker::State::running; }, start + seconds(20));
    EXPECT_TRUE(is_over) << quick.describe();
    EXPECT_EQ(quick.state(), Talker::State::finished);
    longest = std::max(longest, tunnel.world.now() - start);
    tunnel.world.run_for(milliseconds(100));
  }
  return longest;
}

void expect_undisturbed(std::uint64_t seed) {
  const Drawn drawn = draw(seed);
  const Duration alone = longest_request(seed, drawn, false);
  const Duration beside = longest_request(seed, drawn, true);
  EXPECT_LE(beside, alone + drawn.round_trip + milliseconds(20))
      << "CULVERT_SIM_SEED=" << seed << ": " << drawn.readers.size() << " readers, "
      << std::chrono::duration_cast<milliseconds>(alone).count() << " ms alone, "
      << std::chrono::duration_cast<milliseconds>(beside).count() << " ms beside them";
}

TEST(SimBacklog, of_readers_that_stop_or_are_slow_disturbs_no_other_flow) {
  if (std::getenv("CULVERT_SIM_SEED") != nullptr) {
    expect_undisturbed(number_from_environment("CULVERT_SIM_SEED", 0));
    return;
  }
  // Each world carries some hundred flows: fewer seeds than in other scenarios.
  const std::uint64_t seeds = number_from_environment("CULVERT_SIM_SEEDS", 500) / 20;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) expect_undisturbed(seed);
}

// A flow that is read moves on as well, not just a few bytes of it: with 16 KiB each round trip at
// the least, which is the part of the budget that each of so many has.
TEST(SimBacklog, of_a_thousand_stalled_readers_leaves_bulk_its_way) {
  TunnelWorldConfig config;
  for (LinkConfig* link : {&config.client_up, &config.client_down}) {
    link->bits_per_second = 100'000'000;
    link->delay = milliseconds(10);
  }
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  for (std::uint64_t i = 0; i < 1'000; ++i) {
    tunnel.call({.seed = i,
                 .download_bytes = kEndless,
                 .read_chunk_bytes = 1,
                 .read_pause_us = kAsGoodAsNever});
  }
  tunnel.world.run_for(seconds(60));
  const Talker& quick = tunnel.call({.seed = 5'000, .download_bytes = 4'000'000});
  EXPECT_TRUE(tunnel.world.run_until([&] { return quick.state() == Talker::State::finished; },
                                     tunnel.world.now() + seconds(10)))
      << quick.describe();
}

}  // namespace
}  // namespace culvert::sim
