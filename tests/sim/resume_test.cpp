// Sessions over the loss of their connections: whatever the network does, bytes are exact,
// or, where an outage outlasts the grace, flows are reset; never anything else.
//
// One seed alone: CULVERT_SIM_SEED=8812 build/release/tests/sim/sim_resume_test
// More of them:   CULVERT_SIM_SEEDS=100000 ...
#include "tests/sim/seeds.h"
#include "tests/sim/survival.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace culvert::sim {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// --- outages of any length at any moment -----------------------------------------------------

enum class Fault : std::uint8_t {
  link_down,
  up_only,
  down_only,
  nat_reboot,
  new_address,
  client_stopped,
  server_stopped,
};

struct Outage {
  Fault fault = Fault::link_down;
  Duration begin{};
  Duration length{};
};

struct Drawn {
  TunnelWorldConfig config;
  std::vector<PlannedFlow> flows;
  std::vector<Outage> outages;
  bool may_reset = false;  // an outage outlasts the grace
};

FlowPlan draw_plan(Rng& rng) {
  FlowPlan plan;
  plan.seed = rng.next();
  plan.upload_bytes = static_cast<std::uint32_t>(rng.below(rng.below(4) == 0 ? 90'000 : 5'000));
  plan.download_bytes = static_cast<std::uint32_t>(rng.below(rng.below(4) == 0 ? 90'000 : 5'000));
  plan.callee_waits_for_end = rng.below(4) == 0;
  plan.caller_waits_for_end = !plan.callee_waits_for_end && rng.below(4) == 0;
  if (rng.below(6) == 0 && plan.upload_bytes > 1) {
    auto& where = rng.below(2) == 0 ? plan.caller_resets_after : plan.callee_resets_after;
    where = 1 + static_cast<std::uint32_t>(rng.below(plan.upload_bytes - 1));
  }
  plan.read_chunk_bytes = 1 + static_cast<std::uint32_t>(rng.below(20'000));
  // Readers so slow that a flow lives through several outages.
  const std::uint64_t larger = std::max(plan.upload_bytes, plan.download_bytes);
  const std::uint64_t reads = 1 + larger / plan.read_chunk_bytes;
  if (rng.below(2) == 0) {
    plan.read_pause_us = static_cast<std::uint32_t>(1'000 + rng.below(20'000'000) / reads);
  }
  return plan;
}

Drawn draw(std::uint64_t seed) {
  SeededRng rng = SeededRng(seed).split(1);
  Drawn drawn;
  TunnelWorldConfig& config = drawn.config;
  for (LinkConfig* link : {&config.client_up, &config.client_down}) {
    link->bits_per_second = rng.below(2) == 0 ? 0 : 2'000'000 + rng.below(50'000'000);
    link->delay = microseconds(rng.below(60'000));
    if (rng.below(3) == 0) link->loss = 0.1 * rng.unit();
  }
  config.client_knobs.stream_buffer_bytes = 1'000 + rng.below(100'000);
  config.server_knobs.stream_buffer_bytes = 1'000 + rng.below(100'000);
  config.server_workers = rng.below(2) == 0 ? 3 : 1;
  config.has_nat = rng.below(2) == 0;
  config.nat.mapping = static_cast<NatBehaviour>(rng.below(3));
  config.nat.filtering = static_cast<NatBehaviour>(rng.below(3));
  config.nat.ports = static_cast<PortAllocation>(rng.below(3));
  config.transport.idle_timeout = seconds(3 + rng.below(30));
  config.transport.keep_alive = seconds(1);
  config.resume_grace = seconds(60);
  const std::uint64_t flows = 1 + rng.below(24);
  for (std::uint64_t i = 0; i < flows; ++i) {
    const FlowPlan plan = draw_plan(rng);
    drawn.flows.push_back({.plan = plan, .start = milliseconds(rng.below(12'000))});
  }
  drawn.may_reset = rng.below(8) == 0;
  Duration at{};
  for (std::uint64_t i = 0, count = 1 + rng.below(4); i < count; ++i) {
    Outage outage{.fault = static_cast<Fault>(rng.below(7)),
                  .begin = at + milliseconds(rng.below(6'000)),
                  .length = milliseconds(rng.below(rng.below(2) == 0 ? 400 : 15'000))};
    if (drawn.may_reset && i == 0) outage.length = seconds(50 + rng.below(100));
    at = outage.begin + outage.length;
    drawn.outages.push_back(outage);
  }
  return drawn;
}

void set_down(TunnelWorld& tunnel, Fault fault, bool is_down) {
  if (fault != Fault::down_only) tunnel.client_machine->uplink().is_down = is_down;
  if (fault != Fault::up_only) tunnel.client_machine->downlink().is_down = is_down;
}

void begin_outage(TunnelWorld& tunnel, const Outage& outage, std::size_t index) {
  if (outage.fault == Fault::client_stopped) {
    tunnel.stop_client(outage.length);
    return;
  }
  if (outage.fault == Fault::server_stopped) {
    tunnel.stop_server(outage.length);
    return;
  }
  set_down(tunnel, outage.fault, true);
  tunnel.world.after(outage.length,
                     [&tunnel, &outage](Instant) { set_down(tunnel, outage.fault, false); });
  if (outage.fault == Fault::nat_reboot && tunnel.nat != nullptr) tunnel.nat->forget_mappings();
  if (outage.fault == Fault::new_address && tunnel.nat == nullptr) {
    tunnel.client_machine->set_addresses(
        {IpAddress::v4(0xcb007109 + static_cast<std::uint32_t>(index))});
  }
}

struct Outcome {
  SeedOutcome judged;
  std::uint64_t resumed = 0;
};

Outcome run(std::uint64_t seed) {
  const Drawn drawn = draw(seed);
  TunnelWorld tunnel(seed, drawn.config);
  const auto fail = [&](std::string why) {
    return Outcome{.judged = {.why = std::move(why) + "\n" + tunnel.report()}};
  };
  if (!tunnel.connect(seconds(60))) return fail("did not connect");
  for (std::size_t i = 0; i < drawn.outages.size(); ++i) {
    const Outage& outage = drawn.outages[i];
    tunnel.world.after(outage.begin,
                       [&tunnel, &outage, i](Instant) { begin_outage(tunnel, outage, i); });
  }
  if (auto why = outlive(tunnel, drawn.flows, drawn.may_reset); !why.empty()) {
    return fail(std::move(why));
  }
  return {.judged = {.trace_hash = tunnel.world.trace_hash()},
          .resumed = tunnel.client->stats().sessions_resumed};
}

TEST(SimResumeSeeds, every_byte_survives_every_outage) {
  std::uint64_t resumed = 0;
  const std::uint64_t seeds = try_seeds(1500, [&](std::uint64_t seed) {
    const Outcome outcome = run(seed);
    resumed += outcome.resumed;
    return outcome.judged;
  });
  EXPECT_GE(resumed, seeds / 4);  // the scenario reaches what it is for
}

// --- single outages --------------------------------------------------------------------------

TunnelWorldConfig plain_config() {
  TunnelWorldConfig config;
  for (LinkConfig* link : {&config.client_up, &config.client_down}) {
    link->bits_per_second = 10'000'000;
    link->delay = milliseconds(10);
  }
  return config;
}

bool run_until_over(TunnelWorld& tunnel, const Talker& talker, Duration within) {
  return tunnel.world.run_until([&] { return talker.state() != Talker::State::running; },
                                tunnel.world.now() + within);
}

// A flow of some seconds over plain_config().
FlowPlan long_plan(std::uint64_t seed) {
  return {.seed = seed, .upload_bytes = 4'000'000, .download_bytes = 4'000'000};
}

TEST(SimResumeFigures, goes_on_at_once_when_the_network_is_back) {
  TunnelWorld tunnel(1, plain_config());
  ASSERT_TRUE(tunnel.connect());
  Talker& talker = tunnel.call(long_plan(1));
  tunnel.world.run_for(seconds(1));
  set_link_down(tunnel, true);
  tunnel.world.run_for(seconds(25));
  set_link_down(tunnel, false);
  // As the kernel says when an interface is up.
  tunnel.client_machine->set_addresses(tunnel.client_machine->addresses());
  const Instant back = tunnel.world.now();
  ASSERT_TRUE(tunnel.world.run_until([&] { return tunnel.client->stats().sessions_resumed == 1; },
                                     back + seconds(10)));
  // TLS and the control stream take three round trips of 20 ms.
  EXPECT_LT(tunnel.world.now() - back, milliseconds(100)) << tunnel.report();
  ASSERT_TRUE(run_until_over(tunnel, talker, seconds(60)));
  EXPECT_EQ(talker.state(), Talker::State::finished) << tunnel.report();
  EXPECT_FALSE(talker.was_cut_short() || talker.has_wrong_bytes());
}

TEST(SimResume, finds_the_worker_that_has_the_session) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    TunnelWorldConfig config = plain_config();
    config.server_workers = 4;
    config.has_nat = true;
    config.nat.ports = PortAllocation::random;
    TunnelWorld tunnel(seed, config);
    ASSERT_TRUE(tunnel.connect());
    Talker& talker = tunnel.call(long_plan(seed));
    tunnel.world.run_for(seconds(1));
    set_link_down(tunnel, true);
    tunnel.nat->forget_mappings();  // another port: the kernel picks another worker
    tunnel.world.run_for(seconds(40));
    set_link_down(tunnel, false);
    ASSERT_TRUE(run_until_over(tunnel, talker, seconds(60)));
    EXPECT_EQ(talker.state(), Talker::State::finished) << tunnel.report();
    EXPECT_EQ(tunnel.client->stats().sessions_resumed, 1U);
  }
}

TEST(SimResume, serves_connections_that_came_during_the_outage) {
  TunnelWorld tunnel(1, plain_config());
  ASSERT_TRUE(tunnel.connect());
  set_link_down(tunnel, true);
  tunnel.world.run_for(seconds(40));
  ASSERT_FALSE(tunnel.client->stats().is_connected);
  Talker& talker = tunnel.call({.seed = 7, .upload_bytes = 1'000, .download_bytes = 1'000});
  tunnel.world.run_for(seconds(5));
  EXPECT_EQ(talker.state(), Talker::State::running);
  set_link_down(tunnel, false);
  ASSERT_TRUE(run_until_over(tunnel, talker, seconds(30)));
  EXPECT_EQ(talker.state(), Talker::State::finished) << tunnel.report();
}

TEST(SimResume, resets_connections_that_wait_too_long) {
  TunnelWorld tunnel(1, plain_config());
  ASSERT_TRUE(tunnel.connect());
  set_link_down(tunnel, true);
  tunnel.world.run_for(seconds(40));
  Talker& talker = tunnel.call({.seed = 7, .upload_bytes = 1'000});
  const Instant called = tunnel.world.now();
  ASSERT_TRUE(run_until_over(tunnel, talker, seconds(60)));
  EXPECT_EQ(talker.state(), Talker::State::reset);
  EXPECT_GE(tunnel.world.now() - called, limits::kWaitingFlowTimeout);
  EXPECT_LT(tunnel.world.now() - called, limits::kWaitingFlowTimeout + seconds(1));
}

// As after a night's sleep of one of the two machines.
TEST(SimResume, resets_flows_after_the_grace_and_brings_the_tunnel_back) {
  TunnelWorld tunnel(1, plain_config());
  ASSERT_TRUE(tunnel.connect());
  Talker& talker = tunnel.call(long_plan(1));
  tunnel.world.run_for(seconds(1));
  set_link_down(tunnel, true);
  tunnel.world.run_for(hours(8));
  EXPECT_EQ(talker.state(), Talker::State::reset);
  ASSERT_EQ(tunnel.talkers->talkers().size(), 1U);
  EXPECT_EQ(tunnel.talkers->talkers()[0]->state(), Talker::State::reset);
  EXPECT_EQ(tunnel.client->stats().flows_active, 0U);
  EXPECT_EQ(tunnel.servers[0]->stats().flows_active, 0U);
  EXPECT_EQ(tunnel.shared.places->size(), 0U);
  set_link_down(tunnel, false);
  tunnel.world.run_for(seconds(40));
  Talker& again = tunnel.call({.seed = 2, .upload_bytes = 1'000, .download_bytes = 1'000});
  ASSERT_TRUE(run_until_over(tunnel, again, seconds(30)));
  EXPECT_EQ(again.state(), Talker::State::finished) << tunnel.report();
  EXPECT_EQ(tunnel.client->stats().sessions_resumed, 0U);
  EXPECT_EQ(tunnel.client->stats().sessions_opened, 2U);
}

TEST(SimResume, is_off_without_grace_but_the_tunnel_comes_back) {
  for (const auto dialect : {session::Dialect::culvert_1, session::Dialect::mf_4}) {
    TunnelWorldConfig config = plain_config();
    config.dialect = dialect;
    config.resume_grace = Duration::zero();
    TunnelWorld tunnel(1, config);
    ASSERT_TRUE(tunnel.connect());
    Talker& talker = tunnel.call(long_plan(1));
    tunnel.world.run_for(seconds(1));
    set_link_down(tunnel, true);
    tunnel.world.run_for(seconds(40));
    EXPECT_EQ(talker.state(), Talker::State::reset);
    EXPECT_EQ(tunnel.servers[0]->stats().flows_active, 0U);
    set_link_down(tunnel, false);
    tunnel.world.run_for(seconds(40));
    Talker& again = tunnel.call({.seed = 2, .upload_bytes = 1'000, .download_bytes = 1'000});
    ASSERT_TRUE(run_until_over(tunnel, again, seconds(30)));
    EXPECT_EQ(again.state(), Talker::State::finished) << tunnel.report();
  }
}

TEST(SimResume, ends_the_client_after_as_many_tries_as_it_may_make) {
  for (const std::uint32_t attempts : {0U, 3U}) {
    TunnelWorldConfig config = plain_config();
    config.max_reconnect_attempts = attempts;
    TunnelWorld tunnel(1, config);
    ASSERT_TRUE(tunnel.connect());
    set_link_down(tunnel, true);
    tunnel.world.run_for(seconds(60));
    ASSERT_TRUE(tunnel.is_finished);
    ASSERT_TRUE(tunnel.end_error.has_value());
    EXPECT_EQ(tunnel.end_error->kind, ErrorKind::lost) << tunnel.end_error->text();
    EXPECT_EQ(tunnel.client->stats().reconnect_attempts, attempts);
  }
}

TEST(SimResume, does_not_retry_when_its_credentials_are_refused_meanwhile) {
  TunnelWorld tunnel(1, plain_config());
  ASSERT_TRUE(tunnel.connect());
  set_link_down(tunnel, true);
  tunnel.world.run_for(seconds(120));  // beyond the grace: resuming needs no credentials
  peer::ServerPolicy policy = *tunnel.shared.policy;
  policy.auth.tokens = {};
  tunnel.set_policy(std::make_shared<const peer::ServerPolicy>(std::move(policy)));
  set_link_down(tunnel, false);
  tunnel.world.run_for(seconds(40));
  ASSERT_TRUE(tunnel.is_finished);
  ASSERT_TRUE(tunnel.end_error.has_value());
  EXPECT_EQ(tunnel.end_error->kind, ErrorKind::authentication);
}

// --- somebody on the path ----------------------------------------------------------------------

TEST(SimResume, gives_a_session_to_nobody_who_repeats_its_client) {
  TunnelWorld tunnel(1, plain_config());
  std::vector<Packet> heard;
  tunnel.network.tap = [&](Instant, Packet& packet) {
    if (packet.to.port == TunnelWorld::kServerPort) heard.push_back(packet);
    return true;
  };
  ASSERT_TRUE(tunnel.connect());
  Talker& talker = tunnel.call(long_plan(1));
  tunnel.world.run_for(seconds(1));
  const auto outage = [&] {
    set_link_down(tunnel, true);
    tunnel.world.run_for(seconds(40));
  };
  outage();
  set_link_down(tunnel, false);
  ASSERT_TRUE(tunnel.world.run_until([&] { return tunnel.client->stats().sessions_resumed == 1; },
                                     tunnel.world.now() + seconds(40)));
  outage();
  // Now with a recording of the handshake and of a resume that succeeded.
  const drive::Counters before = tunnel.servers[0]->stats();
  const std::vector<Packet> recording = heard;
  for (Packet packet : recording) {
    packet.from = {IpAddress::v4(0xcb007142), 5000};
    tunnel.network.inject(packet);
  }
  tunnel.world.run_for(seconds(5));
  EXPECT_EQ(tunnel.servers[0]->stats().sessions_resumed, before.sessions_resumed);
  EXPECT_EQ(tunnel.servers[0]->stats().sessions_suspended, 1U);
  set_link_down(tunnel, false);
  ASSERT_TRUE(run_until_over(tunnel, talker, seconds(60)));
  EXPECT_EQ(talker.state(), Talker::State::finished) << tunnel.report();
  EXPECT_FALSE(talker.was_cut_short() || talker.has_wrong_bytes());
}

// --- a long time -------------------------------------------------------------------------------

// A day with an outage every quarter of an hour: the flow that was opened in the morning
// still works in the evening, and nothing has piled up.
TEST(SimResumeFigures, keeps_nothing_of_a_day_of_outages) {
  TunnelWorldConfig config = plain_config();
  config.client_knobs.stream_buffer_bytes = config.server_knobs.stream_buffer_bytes = 10'000;
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  Talker& talker = tunnel.call({.seed = 1,
                                .upload_bytes = 8'000'000,
                                .download_bytes = 8'000'000,
                                .read_chunk_bytes = 40,
                                .read_pause_us = 1'000'000});
  std::uint64_t outages = 0;
  for (Duration at{}; at < hours(24); at += seconds(900), ++outages) {
    tunnel.world.run_for(seconds(880));
    set_link_down(tunnel, true);
    tunnel.world.run_for(seconds(outages % 2 == 0 ? 8 : 45));
    set_link_down(tunnel, false);
    tunnel.world.run_for(seconds(30));
    ASSERT_EQ(talker.state(), Talker::State::running) << tunnel.report();
    Talker& brief = tunnel.call({.seed = outages, .upload_bytes = 500, .download_bytes = 500});
    ASSERT_TRUE(run_until_over(tunnel, brief, seconds(20))) << tunnel.report();
    ASSERT_EQ(brief.state(), Talker::State::finished);
    tunnel.world.run_for(seconds(1));
    ASSERT_EQ(tunnel.client->stats().flows_active, 1U);
    ASSERT_EQ(tunnel.servers[0]->stats().flows_active, 1U);
    ASSERT_EQ(tunnel.servers[0]->stats().sessions_active, 1U);
    ASSERT_LE(tunnel.servers[0]->stats().connections_active, 2U);  // one may still drain
  }
  // After a short one the old connection may be the first to answer.
  EXPECT_GE(tunnel.client->stats().sessions_resumed, outages / 2);
  EXPECT_EQ(tunnel.shared.places->size(), 1U);
  EXPECT_FALSE(talker.has_wrong_bytes());
}

}  // namespace
}  // namespace culvert::sim
