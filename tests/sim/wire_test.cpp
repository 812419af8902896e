// Bulk over wires that lose packets: figures in virtual time, from the first
// byte on. What a real wire adds is measured by bench/link.
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

enum class Direction : std::uint8_t { up, down };

TunnelWorldConfig wire(Duration round_trip, double loss) {
  constexpr std::uint64_t kRate = 100'000'000;
  TunnelWorldConfig config;
  for (LinkConfig* link : {&config.client_up, &config.client_down}) {
    link->bits_per_second = kRate;
    link->queue_bytes = queue_bytes_for(kRate, milliseconds(50));
    link->delay = round_trip / 2;
    link->loss = loss;
    link->mtu = 1500;
  }
  config.server_up.mtu = config.server_down.mtu = 1500;
  return config;
}

// Of one flow, in Mbit/s, from `after` its beginning for `span`.
double rate_of_flow(std::uint64_t seed, const TunnelWorldConfig& config, Direction direction,
                    Duration after, Duration span) {
  TunnelWorld tunnel(seed, config);
  EXPECT_TRUE(tunnel.connect());
  constexpr std::uint32_t kEndless = 3'000'000'000;
  FlowPlan plan{.seed = seed};
  (direction == Direction::up ? plan.upload_bytes : plan.download_bytes) = kEndless;
  const Talker& caller = tunnel.call(plan);
  tunnel.world.run_for(after);
  const auto received = [&]() -> double {
    if (direction == Direction::down) return static_cast<double>(caller.received());
    const auto& callees = tunnel.talkers->talkers();
    return callees.empty() ? 0 : static_cast<double>(callees[0]->received());
  };
  const double before = received();
  tunnel.world.run_for(span);
  return 8e-6 * (received() - before) / in_seconds(span);
}

// Where packets are lost, the receiver's window is what a flow that gets up to speed meets first.
TEST(SimWireFigures, a_lossy_path_is_filled_after_two_seconds) {
  for (const Direction direction : {Direction::up, Direction::down}) {
    double sum = 0;
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
      sum += rate_of_flow(seed, wire(milliseconds(100), 0.02), direction, {}, seconds(5));
    }
    EXPECT_GT(sum / 4, 70) << "of 83 without loss";
  }
}

TEST(SimWireFigures, a_lossy_path_stays_filled) {
  for (const Direction direction : {Direction::up, Direction::down}) {
    EXPECT_GT(rate_of_flow(1, wire(milliseconds(100), 0.02), direction, seconds(4), seconds(8)),
              90);
  }
}

// Packets that overtake each other are late, not lost.
TEST(SimWireFigures, a_path_where_packets_overtake_each_other_is_filled) {
  struct Case {
    double share;  // of packets that are late
    Duration by;   // at most
    double least;
  };
  for (const Case& late : {Case{1, milliseconds(5), 88}, Case{1, milliseconds(15), 80},
                           Case{0.1, milliseconds(30), 80}}) {
    TunnelWorldConfig config = wire(milliseconds(20), 0);
    for (LinkConfig* link : {&config.client_up, &config.client_down}) {
      link->reorder = late.share;
      link->reorder_delay = late.by;
    }
    for (const Direction direction : {Direction::up, Direction::down}) {
      const double rate = rate_of_flow(1, config, direction, seconds(4), seconds(5));
      EXPECT_GT(rate, late.least) << late.share << " late by " << late.by / milliseconds(1)
                                  << " ms";
    }
  }
}

}  // namespace
}  // namespace culvert::sim
