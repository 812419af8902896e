// A client that gets another address while it is sent as much as its path carries: the flows go
// on soon, over the same connection where that works.
//
// One seed alone: CULVERT_SIM_SEED=8812 build/release/tests/sim/sim_move_test
// More of them:   CULVERT_SIM_SEEDS=100000 ...
#include "tests/sim/seeds.h"
#include "tests/sim/survival.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Path {
  Duration round_trip{};
  std::uint64_t bits_per_second = 20'000'000;
  bool has_nat = false;  // the server sees another port, not another address
};

constexpr std::size_t kQueueBytes = 128 * 1024;

TunnelWorldConfig config_of(const Path& path) {
  TunnelWorldConfig config;
  for (LinkConfig* link : {&config.client_up, &config.client_down}) {
    link->bits_per_second = path.bits_per_second;
    link->delay = path.round_trip / 2;
    link->queue_bytes = kQueueBytes;
  }
  config.has_nat = path.has_nat;
  config.nat.ports = PortAllocation::sequential;
  return config;
}

// Another address of the client, behind its NAT if it has one.
void move_client(TunnelWorld& tunnel, std::uint32_t index) {
  const std::uint32_t network = tunnel.nat != nullptr ? 0x0a000003 : 0xcb007109;
  tunnel.client_machine->set_addresses({IpAddress::v4(network + index)});
}

// The longest time without a byte, from now on.
Duration longest_silence(TunnelWorld& tunnel, const Talker& talker, Duration during) {
  Duration longest{};
  Instant last = tunnel.world.now();
  const Instant end = last + during;
  while (tunnel.world.now() < end) {
    const std::uint64_t before = talker.received();
    tunnel.world.run_until([&] { return talker.received() != before; }, end);
    longest = std::max(longest, tunnel.world.now() - last);
    last = tunnel.world.now();
  }
  return longest;
}

std::string describe(const Path& path, Duration away) {
  return "round trip " + std::to_string(path.round_trip / milliseconds(1)) + " ms, away for " +
         std::to_string(away / milliseconds(1)) + " ms" + (path.has_nat ? ", behind a NAT" : "");
}

// The server's congestion window is full of packets for the old address, and its probe timeout
// doubles while the client is away. Now and then a packet that the flow waits for is lost twice
// more, while the new path is filled for the first time.
TEST(SimMoveFigures, costs_a_download_three_round_trips_and_a_quarter_of_a_second) {
  unsigned moves = 0;
  unsigned longer = 0;
  for (const bool has_nat : {false, true}) {
    for (const Duration round_trip : {milliseconds(2), milliseconds(20), milliseconds(100)}) {
      for (const Duration away : {milliseconds(0), milliseconds(50), milliseconds(200),
                                  milliseconds(450), milliseconds(700), milliseconds(1'500)}) {
        for (const Duration before : {milliseconds(2'000), milliseconds(2'900)}) {
          const Path path{.round_trip = round_trip, .has_nat = has_nat};
          SCOPED_TRACE(describe(path, away));
          TunnelWorld tunnel(1, config_of(path));
          ASSERT_TRUE(tunnel.connect());
          const Talker& talker = tunnel.call({.seed = 1, .download_bytes = 1'000'000'000});
          tunnel.world.run_for(before);
          tunnel.client_machine->set_addresses({});
          tunnel.world.run_for(away);
          move_client(tunnel, 0);
          const Duration queue = Duration(seconds(8)) * kQueueBytes / path.bits_per_second;
          const Duration usual = 3 * (round_trip + queue) + milliseconds(250);
          const Duration silence = longest_silence(tunnel, talker, seconds(4));
          ++moves;
          longer += silence > usual;
          EXPECT_LE(silence, usual + round_trip + queue) << tunnel.report();
          EXPECT_FALSE(talker.has_wrong_bytes());
          EXPECT_EQ(talker.state(), Talker::State::running);
        }
      }
    }
  }
  EXPECT_LE(longer, moves / 20);
}

// A move that works is not disturbed, and keeps the connection.
TEST(SimMove, stays_with_the_connection_when_the_server_answers_in_time) {
  for (const Duration round_trip : {milliseconds(2), milliseconds(20), milliseconds(200)}) {
    const Path path{.round_trip = round_trip};
    TunnelWorld tunnel(1, config_of(path));
    ASSERT_TRUE(tunnel.connect());
    const Talker& talker = tunnel.call({.seed = 1, .download_bytes = 1'000'000'000});
    constexpr std::uint32_t kMoves = 20;
    for (std::uint32_t i = 0; i < kMoves; ++i) {
      tunnel.world.run_for(seconds(2));
      move_client(tunnel, i);
    }
    tunnel.world.run_for(seconds(2));
    EXPECT_EQ(tunnel.client->stats().path_changes, kMoves) << tunnel.report();
    EXPECT_EQ(tunnel.client->stats().reconnect_attempts, 0U);
    EXPECT_EQ(tunnel.client->stats().sessions_resumed, 0U);
    EXPECT_EQ(talker.state(), Talker::State::running);
  }
}

// Where there is nothing to resume, no other connection is begun either.
TEST(SimMove, dials_nothing_for_a_session_that_cannot_resume) {
  TunnelWorldConfig config = config_of({.round_trip = milliseconds(20), .has_nat = true});
  config.resume_grace = {};
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  const Talker& talker = tunnel.call({.seed = 1, .download_bytes = 1'000'000'000});
  tunnel.world.run_for(seconds(2));
  tunnel.client_machine->set_addresses({});
  tunnel.world.run_for(milliseconds(4'500));
  move_client(tunnel, 0);
  EXPECT_GT(longest_silence(tunnel, talker, seconds(4)), milliseconds(300)) << "it was put to use";
  EXPECT_EQ(tunnel.client->stats().reconnect_attempts, 0U);
  EXPECT_EQ(talker.state(), Talker::State::running) << tunnel.report();
}

TEST(SimMoveFigures, costs_a_bounded_number_of_dials_however_often_it_happens) {
  for (const bool has_nat : {false, true}) {
    const Path path{.round_trip = milliseconds(100), .has_nat = has_nat};
    TunnelWorld tunnel(1, config_of(path));
    ASSERT_TRUE(tunnel.connect());
    const Talker& talker = tunnel.call({.seed = 1, .download_bytes = 1'000'000'000});
    tunnel.world.run_for(seconds(2));
    for (std::uint32_t i = 0; i < 100; ++i) {
      move_client(tunnel, i);
      tunnel.world.run_for(milliseconds(100));
    }
    const Duration silence = longest_silence(tunnel, talker, seconds(4));
    EXPECT_LE(silence, seconds(1)) << tunnel.report();
    EXPECT_LE(tunnel.client->stats().reconnect_attempts, 10'000U / 250);
    EXPECT_EQ(talker.state(), Talker::State::running);
    EXPECT_FALSE(talker.has_wrong_bytes());
  }
}

// --- moves of any kind -----------------------------------------------------------------------

// The connection may move late, when another one is dialled beside it already: whichever of the
// two the server hears first, no byte is lost or doubled.
struct DrawnMove {
  Duration begin{};
  Duration away{};    // without any address
  Duration silent{};  // with the new one, but nothing passes
  Duration one_way{};
  bool returns = false;  // to the address before
};

struct Drawn {
  TunnelWorldConfig config;
  std::vector<PlannedFlow> flows;
  std::vector<DrawnMove> moves;
};

Drawn draw(std::uint64_t seed) {
  SeededRng rng = SeededRng(seed).split(1);
  Drawn drawn;
  TunnelWorldConfig& config = drawn.config;
  config = config_of({.round_trip = microseconds(rng.below(200'000)),
                      .bits_per_second = 5'000'000 + rng.below(20'000'000),
                      .has_nat = rng.below(2) == 0});
  if (rng.below(3) == 0) config.client_up.loss = config.client_down.loss = 0.05 * rng.unit();
  config.nat.filtering = static_cast<NatBehaviour>(rng.below(3));
  config.server_workers = rng.below(2) == 0 ? 3 : 1;
  config.transport.keep_alive = seconds(1);
  for (std::uint64_t i = 0, count = 1 + rng.below(4); i < count; ++i) {
    PlannedFlow flow{.plan = {.seed = rng.next()}, .start = milliseconds(rng.below(3'000))};
    flow.plan.download_bytes = static_cast<std::uint32_t>(rng.below(4'000'000));
    if (rng.below(2) == 0) {
      flow.plan.upload_bytes = static_cast<std::uint32_t>(rng.below(1'000'000));
    }
    flow.plan.callee_waits_for_end = rng.below(4) == 0;
    drawn.flows.push_back(flow);
  }
  Duration at{};
  for (std::uint64_t i = 0, count = 1 + rng.below(4); i < count; ++i) {
    at += milliseconds(rng.below(rng.below(2) == 0 ? 400 : 2'000));
    drawn.moves.push_back({.begin = at,
                           .away = milliseconds(rng.below(2) == 0 ? 0 : rng.below(1'500)),
                           .silent = milliseconds(rng.below(2) == 0 ? 0 : rng.below(1'500)),
                           .one_way = microseconds(rng.below(200'000)),
                           .returns = rng.below(5) == 0});
  }
  return drawn;
}

void begin_move(TunnelWorld& tunnel, const DrawnMove& move, std::uint32_t index) {
  tunnel.client_machine->set_addresses({});
  tunnel.world.after(move.away, [&tunnel, &move, index](Instant) {
    for (LinkConfig* link :
         {&tunnel.client_machine->uplink(), &tunnel.client_machine->downlink()}) {
      link->delay = move.one_way;
    }
    move_client(tunnel, move.returns && index > 0 ? index - 1 : index);
    if (move.silent == Duration::zero()) return;
    set_link_down(tunnel, true);
    tunnel.world.after(move.silent, [&tunnel](Instant) { set_link_down(tunnel, false); });
  });
}

struct Outcome {
  SeedOutcome judged;
  std::uint64_t moved = 0;
  std::uint64_t resumed = 0;
};

Outcome run(std::uint64_t seed) {
  const Drawn drawn = draw(seed);
  TunnelWorld tunnel(seed, drawn.config);
  if (!tunnel.connect()) return {.judged = {.why = "did not connect\n" + tunnel.report()}};
  for (std::size_t i = 0; i < drawn.moves.size(); ++i) {
    const DrawnMove& move = drawn.moves[i];
    tunnel.world.after(move.begin, [&tunnel, &move, i](Instant) {
      begin_move(tunnel, move, static_cast<std::uint32_t>(i));
    });
  }
  if (auto why = outlive(tunnel, drawn.flows, false); !why.empty()) {
    return {.judged = {.why = std::move(why) + "\n" + tunnel.report()}};
  }
  return {.judged = {.trace_hash = tunnel.world.trace_hash()},
          .moved = tunnel.client->stats().path_changes,
          .resumed = tunnel.client->stats().sessions_resumed};
}

TEST(SimMoveSeeds, lose_no_byte_whether_the_connection_moves_or_another_takes_its_place) {
  std::uint64_t moved = 0;
  std::uint64_t resumed = 0;
  const std::uint64_t seeds = try_seeds(300, [&](std::uint64_t seed) {
    const Outcome outcome = run(seed);
    moved += outcome.moved;
    resumed += outcome.resumed;
    return outcome.judged;
  });
  EXPECT_GE(moved, seeds / 2);  // the scenario reaches what it is for, in both ways
  EXPECT_GE(resumed, seeds / 10);
}

}  // namespace
}  // namespace culvert::sim
