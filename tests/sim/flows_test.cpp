// TCP flows through the whole stack over bad networks: every byte arrives, ends and resets
// arrive as such, whatever the seed draws.
//
// One seed alone: CULVERT_SIM_SEED=8812 build/release/tests/sim/sim_flows_test
// More of them:   CULVERT_SIM_SEEDS=100000 ...
#include "tests/sim/seeds.h"
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

namespace culvert::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

LinkConfig draw_link(Rng& rng, double max_loss) {
  LinkConfig link;
  link.bits_per_second = rng.below(4) == 0 ? 0 : 2'000'000 + rng.below(100'000'000);
  link.delay = microseconds(rng.below(60'000));
  link.jitter = rng.below(2) == 0 ? Duration{} : Duration(microseconds(rng.below(10'000)));
  if (rng.below(2) == 0) link.loss = rng.unit() * max_loss;
  if (rng.below(4) == 0) {
    link.burst_start = 0.01 * rng.unit();
    link.burst_loss = 0.3 + 0.5 * rng.unit();
  }
  if (rng.below(3) == 0) {
    link.reorder = 0.1 * rng.unit();
    link.reorder_delay = milliseconds(rng.below(30));
  }
  if (rng.below(3) == 0) link.duplicate = 0.05 * rng.unit();
  if (rng.below(4) == 0) link.mtu = 1280 + rng.below(300);
  if (rng.below(4) == 0) link.mark_ce = 0.05 * rng.unit();
  link.queue_bytes = 20'000 + rng.below(500'000);
  return link;
}

HostKnobs draw_knobs(Rng& rng) {
  HostKnobs knobs;
  knobs.coalesces_datagrams = rng.below(2) == 0;
  if (rng.below(3) == 0) knobs.send_blocked = 0.2 * rng.unit();
  knobs.stream_buffer_bytes = 1'000 + rng.below(300'000);
  if (rng.below(3) == 0) knobs.max_io_bytes = 1 + rng.below(5'000);
  return knobs;
}

FlowPlan draw_plan(Rng& rng) {
  FlowPlan plan;
  plan.seed = rng.next();
  const auto draw_size = [&]() -> std::uint32_t {
    switch (rng.below(4)) {
      case 0:
        return 0;
      case 1:
        return static_cast<std::uint32_t>(rng.below(100));
      default:
        return static_cast<std::uint32_t>(rng.below(60'000));
    }
  };
  plan.upload_bytes = draw_size();
  plan.download_bytes = draw_size();
  switch (rng.below(4)) {
    case 0:
      plan.callee_waits_for_end = true;
      break;
    case 1:
      plan.caller_waits_for_end = true;
      break;
    default:
      break;
  }
  if (rng.below(8) == 0 && plan.upload_bytes > 1) {
    auto& where = rng.below(2) == 0 ? plan.caller_resets_after : plan.callee_resets_after;
    where = 1 + static_cast<std::uint32_t>(rng.below(plan.upload_bytes - 1));
  }
  plan.read_chunk_bytes = 1 + static_cast<std::uint32_t>(rng.below(20'000));
  if (rng.below(4) == 0 && plan.read_chunk_bytes > 500) plan.read_pause_us = 1000;
  return plan;
}

struct Drawn {
  TunnelWorldConfig config;
  std::vector<FlowPlan> plans;
  std::vector<Duration> starts;
  std::uint64_t fault = 0;  // see disturb()
  Duration fault_after{};
};

Drawn draw(std::uint64_t seed) {
  SeededRng rng = SeededRng(seed).split(1);
  Drawn drawn;
  const double max_loss = 0.2;
  drawn.config.client_up = draw_link(rng, max_loss);
  drawn.config.client_down = draw_link(rng, max_loss);
  drawn.config.client_knobs = draw_knobs(rng);
  drawn.config.server_knobs = draw_knobs(rng);
  drawn.config.server_workers = rng.below(3) == 0 ? 3 : 1;
  drawn.config.has_nat = rng.below(2) == 0;
  drawn.config.nat.mapping = static_cast<NatBehaviour>(rng.below(3));
  drawn.config.nat.filtering = static_cast<NatBehaviour>(rng.below(3));
  drawn.config.nat.ports = static_cast<PortAllocation>(rng.below(3));
  drawn.config.dialect = rng.below(3) == 0 ? session::Dialect::mf_4 : session::Dialect::culvert_1;
  drawn.config.uses_key = rng.below(2) == 0;
  drawn.config.transport.congestion_control =
      rng.below(3) == 0 ? quic::CongestionControl::bbr : quic::CongestionControl::cubic;
  const std::uint64_t flows = 1 + rng.below(12);
  for (std::uint64_t i = 0; i < flows; ++i) {
    drawn.plans.push_back(draw_plan(rng));
    drawn.starts.push_back(milliseconds(rng.below(1500)));
  }
  drawn.fault = rng.below(4);
  drawn.fault_after = milliseconds(rng.below(2000));
  return drawn;
}

// Faults that a connection must survive.
void disturb(TunnelWorld& tunnel, std::uint64_t fault) {
  switch (fault) {
    case 1:  // the NAT reboots: every mapping gets a new port
      if (tunnel.nat != nullptr) tunnel.nat->forget_mappings();
      break;
    case 2:  // the client changes networks
      if (tunnel.nat == nullptr) {
        tunnel.client_machine->set_addresses({IpAddress::v4(0xcb007109)});  // 203.0.113.9
      }
      break;
    case 3:  // three seconds of nothing
      tunnel.client_machine->uplink().is_down = true;
      tunnel.world.after(seconds(3),
                         [&tunnel](Instant) { tunnel.client_machine->uplink().is_down = false; });
      break;
    default:
      break;
  }
}

SeedOutcome fail(TunnelWorld& tunnel, std::string why) {
  return {.why = std::move(why) + "\n" + tunnel.report()};
}

// Both ends of one flow, judged: equal bytes and orderly ends, or, where the plan resets,
// no byte that was not sent.
std::string judge(const Talker& talker) {
  if (talker.has_wrong_bytes()) return "wrong bytes: " + talker.describe();
  if (!talker.plan()) {
    return talker.state() == Talker::State::finished ? "ended without header" : "";
  }
  if (talker.plan()->has_reset()) return "";
  if (talker.was_cut_short()) return "cut short: " + talker.describe();
  if (talker.state() != Talker::State::finished) return "not finished: " + talker.describe();
  return "";
}

SeedOutcome run(std::uint64_t seed) {
  const Drawn drawn = draw(seed);
  TunnelWorld tunnel(seed, drawn.config);
  if (!tunnel.connect(seconds(60))) {
    return fail(tunnel, tunnel.end_error ? tunnel.end_error->text() : "did not connect");
  }
  for (std::size_t i = 0; i < drawn.plans.size(); ++i) {
    tunnel.world.after(drawn.starts[i],
                       [&tunnel, plan = drawn.plans[i]](Instant) { tunnel.call(plan); });
  }
  tunnel.world.after(drawn.fault_after,
                     [&tunnel, fault = drawn.fault](Instant) { disturb(tunnel, fault); });
  const auto is_done = [&] {
    const auto is_over = [](const auto& talker) {
      return talker->state() != Talker::State::running;
    };
    return tunnel.is_finished || (tunnel.callers.size() == drawn.plans.size() &&
                                  std::ranges::all_of(tunnel.callers, is_over) &&
                                  std::ranges::all_of(tunnel.talkers->talkers(), is_over));
  };
  if (!tunnel.world.run_until(is_done, tunnel.world.now() + seconds(600))) {
    return fail(tunnel, tunnel.world.is_livelocked() ? "livelock" : "flows hang");
  }
  if (tunnel.is_finished) {
    return fail(tunnel, tunnel.end_error ? tunnel.end_error->text() : "the client ended");
  }
  for (const auto& caller : tunnel.callers) {
    if (auto why = judge(*caller); !why.empty()) return fail(tunnel, why);
  }
  for (const auto& callee : tunnel.talkers->talkers()) {
    if (auto why = judge(*callee); !why.empty()) return fail(tunnel, why);
  }
  // Nothing of the flows is left, on either side, as soon as what came before a reset has arrived.
  const auto are_gone = [&] {
    return tunnel.client->stats().flows_active == 0 &&
           std::ranges::all_of(tunnel.servers, [](const auto& server) {
             return server->stats().flows_active == 0;
           });
  };
  tunnel.world.run_for(seconds(5));
  if (!tunnel.world.run_until(are_gone, tunnel.world.now() + seconds(60))) {
    return fail(tunnel, "flows are kept");
  }
  return {.trace_hash = tunnel.world.trace_hash()};
}

TEST(SimFlowsSeeds, deliver_every_byte_over_every_network) {
  try_seeds(3000, run);
}

}  // namespace
}  // namespace culvert::sim
