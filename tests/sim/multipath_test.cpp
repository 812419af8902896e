// Sessions over several paths: how fast flows are, and that every byte is exact whatever
// happens to any of the paths.
//
// One seed alone: CULVERT_SIM_SEED=8812 build/release/tests/sim/sim_multipath_test
// More of them:   CULVERT_SIM_SEEDS=100000 ...
#include "tests/sim/seeds.h"
#include "tests/sim/survival.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>

namespace culvert::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

bool run_until_over(TunnelWorld& tunnel, const Talker& talker, Duration within) {
  return tunnel.world.run_until([&] { return talker.state() != Talker::State::running; },
                                tunnel.world.now() + within);
}

LinkConfig link(std::uint64_t bits_per_second, Duration delay) {
  // A queue of 50 ms and the MTU that networks have.
  return {.bits_per_second = bits_per_second,
          .delay = delay,
          .queue_bytes = std::max<std::size_t>(32'768, bits_per_second / 8 / 20),
          .mtu = 1500};
}

struct Path {
  std::uint64_t bits_per_second;
  Duration delay;  // one way
};

TunnelWorldConfig two_paths(Multipath mode, const Path& first, const Path& second) {
  TunnelWorldConfig config;
  config.client_up = config.client_down = link(first.bits_per_second, first.delay);
  const LinkConfig other = link(second.bits_per_second, second.delay);
  config.second_client_interface = SecondInterface{.up = other, .down = other};
  config.multipath = mode;
  return config;
}

void wait_for_paths(TunnelWorld& tunnel, std::size_t count) {
  ASSERT_TRUE(tunnel.connect());
  ASSERT_TRUE(tunnel.world.run_until([&] { return tunnel.client->paths().size() == count; },
                                     tunnel.world.now() + seconds(20)))
      << tunnel.report();
}

// --- speed -------------------------------------------------------------------------------------

// Bit/s of one TCP flow of some seconds, in the direction that `plan` says.
double speed(TunnelWorldConfig config, const FlowPlan& plan) {
  const bool is_alone = !config.second_client_interface;
  TunnelWorld tunnel(1, std::move(config));
  wait_for_paths(tunnel, is_alone ? 1 : 2);
  Talker& talker = tunnel.call(plan);
  const Instant begun = tunnel.world.now();
  EXPECT_TRUE(run_until_over(tunnel, talker, seconds(120))) << tunnel.report();
  EXPECT_EQ(talker.state(), Talker::State::finished);
  EXPECT_FALSE(talker.has_wrong_bytes() || talker.was_cut_short());
  const double bits = 8.0 * (plan.upload_bytes + plan.download_bytes);
  return bits / std::chrono::duration<double>(tunnel.world.now() - begun).count();
}

double speed_alone(const Path& path, const FlowPlan& plan) {
  TunnelWorldConfig config = two_paths(Multipath::fastest, path, path);
  config.second_client_interface.reset();
  return speed(std::move(config), plan);
}

constexpr FlowPlan kUpload{.seed = 1, .upload_bytes = 40'000'000};
constexpr FlowPlan kDownload{.seed = 1, .download_bytes = 40'000'000};

TEST(SimMultipathFigures, aggregates_two_equal_paths) {
  const Path path{.bits_per_second = 20'000'000, .delay = milliseconds(10)};
  for (const FlowPlan& plan : {kUpload, kDownload}) {
    const double alone = speed_alone(path, plan);
    const double both = speed(two_paths(Multipath::aggregate, path, path), plan);
    RecordProperty("ratio", std::to_string(both / alone));
    EXPECT_GT(both, 0.85 * 2 * alone) << both / alone;
  }
}

TEST(SimMultipathFigures, aggregates_paths_of_different_rates) {
  const Path fast{.bits_per_second = 40'000'000, .delay = milliseconds(10)};
  const Path slow{.bits_per_second = 10'000'000, .delay = milliseconds(10)};
  // Long enough that its beginning counts for little: all there is to win is a quarter.
  for (const FlowPlan& plan : {FlowPlan{.seed = 1, .upload_bytes = 80'000'000},
                               FlowPlan{.seed = 1, .download_bytes = 80'000'000}}) {
    const double alone = speed_alone(fast, plan);
    EXPECT_GT(speed(two_paths(Multipath::aggregate, fast, slow), plan), 1.2 * alone);
    EXPECT_GT(speed(two_paths(Multipath::aggregate, slow, fast), plan), 1.2 * alone);
  }
}

TEST(SimMultipathFigures, aggregates_paths_of_different_delays) {
  const Path near{.bits_per_second = 20'000'000, .delay = milliseconds(10)};
  const Path far{.bits_per_second = 20'000'000, .delay = milliseconds(60)};
  for (const FlowPlan& plan : {kUpload, kDownload}) {
    const double alone = speed_alone(near, plan);
    EXPECT_GT(speed(two_paths(Multipath::aggregate, near, far), plan), 1.2 * alone);
  }
}

// --- the death of a path -------------------------------------------------------------------------

void set_second_down(TunnelWorld& tunnel, bool is_down) {
  tunnel.second_interface->up.config().is_down = is_down;
  tunnel.second_interface->down.config().is_down = is_down;
}

constexpr Duration kQueue = milliseconds(50);  // of link()

// The longest time without a byte for a caller that receives all the time, while one path
// dies.
Duration longest_gap(Multipath mode, bool is_first, std::uint64_t seed) {
  const Path path{.bits_per_second = 20'000'000, .delay = milliseconds(20)};
  TunnelWorld tunnel(seed, two_paths(mode, path, path));
  wait_for_paths(tunnel, 2);
  Talker& talker = tunnel.call({.seed = seed, .download_bytes = 25'000'000});
  tunnel.world.run_for(seconds(2) + milliseconds(seed * 7));
  Duration longest{};
  is_first ? set_link_down(tunnel, true) : set_second_down(tunnel, true);
  std::uint64_t received = talker.received();
  Instant last = tunnel.world.now();
  const Instant end = tunnel.world.now() + seconds(4);
  while (tunnel.world.now() < end && talker.state() == Talker::State::running) {
    tunnel.world.run_for(milliseconds(1));
    if (talker.received() == received) continue;
    received = talker.received();
    longest = std::max(longest, tunnel.world.now() - last);
    last = tunnel.world.now();
  }
  longest = std::max(longest, tunnel.world.now() - last);
  EXPECT_TRUE(run_until_over(tunnel, talker, seconds(120))) << tunnel.report();
  EXPECT_EQ(talker.state(), Talker::State::finished) << tunnel.report();
  EXPECT_FALSE(talker.has_wrong_bytes() || talker.was_cut_short());
  return longest;
}

// One that fills both paths has their queues in its round trip, and one leg behind the other by
// up to that.
TEST(SimMultipathFigures, redundant_flows_do_not_notice_the_death_of_a_path) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    for (const bool is_first : {true, false}) {
      EXPECT_LT(longest_gap(Multipath::redundant, is_first, seed),
                milliseconds(40) + kQueue + milliseconds(50))
          << seed;
    }
  }
}

TEST(SimMultipathFigures, another_path_takes_over_soon_in_the_other_modes) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    for (const Multipath mode : {Multipath::fastest, Multipath::aggregate}) {
      for (const bool is_first : {true, false}) {
        EXPECT_LT(longest_gap(mode, is_first, seed), milliseconds(1'500))
            << word_of(mode) << (is_first ? ", the first path" : ", the second path") << ", seed "
            << seed;
      }
    }
  }
}

// docs/multipath.md: it does not wait for a silence that cannot end.
TEST(SimMultipath, gives_up_a_path_at_once_whose_address_vanishes) {
  const Path path{.bits_per_second = 0, .delay = milliseconds(5)};
  TunnelWorld tunnel(1, two_paths(Multipath::aggregate, path, path));
  wait_for_paths(tunnel, 2);
  ASSERT_EQ(tunnel.servers[0]->sessions(1).at(0).joined.size(), 1U);
  tunnel.client_machine->set_addresses({tunnel.client_machine->addresses().front()});
  tunnel.world.run_for(milliseconds(100));
  EXPECT_EQ(tunnel.client->paths().size(), 1U);
  EXPECT_FALSE(tunnel.client->paths().at(0).is_silent);
}

TEST(SimMultipathFigures, holds_a_bounded_amount_without_any_connection) {
  const Path path{.bits_per_second = 0, .delay = milliseconds(5)};
  TunnelWorldConfig config = two_paths(Multipath::aggregate, path, path);
  config.transport.idle_timeout = seconds(5);
  TunnelWorld tunnel(1, config);
  wait_for_paths(tunnel, 2);
  // Nobody reads.
  constexpr std::uint64_t kFlows = 300;
  for (std::uint64_t i = 1; i <= kFlows; ++i) {
    tunnel.call({.seed = i,
                 .upload_bytes = 2'000'000,
                 .download_bytes = 2'000'000,
                 .read_chunk_bytes = 1,
                 .read_pause_us = 1'000'000});
  }
  tunnel.world.run_for(seconds(5));
  EXPECT_EQ(std::ranges::count_if(tunnel.callers, is_over), 0);
  set_link_down(tunnel, true);
  set_second_down(tunnel, true);
  tunnel.world.run_for(seconds(20));
  // What the callers have written beyond the buffers of their own connections is held.
  std::uint64_t held = 0;
  for (std::size_t i = 0; i < kFlows; ++i) {
    held += tunnel.callers[i]->sent() - tunnel.talkers->talkers()[i]->received();
  }
  EXPECT_LE(held,
            2 * limits::kSessionBufferBytes + kFlows * (config.client_knobs.stream_buffer_bytes +
                                                        config.server_knobs.stream_buffer_bytes));
  EXPECT_EQ(tunnel.client->stats().flows_dropped, 0U);
  EXPECT_EQ(tunnel.servers[0]->stats().flows_dropped, 0U);
  set_link_down(tunnel, false);
  set_second_down(tunnel, false);
  tunnel.world.run_for(seconds(20));
  EXPECT_EQ(std::ranges::count_if(tunnel.callers, is_over), 0) << "all of them go on";
}

// --- UDP -----------------------------------------------------------------------------------------

// Sends what it gets back to its sender.
class Echo final : public UdpHandler {
 public:
  Echo(SimHost& host, const SocketAddress& address)
      : port_(*host.open_udp({.bind = address}, *this)) {}
  void on_udp_readable(Instant) override {
    std::array<RxDatagram, 16> batch;
    while (const std::size_t count = port_->recv_batch(batch)) {
      for (const RxDatagram& datagram : std::span(batch).first(count)) {
        const TxBatch reply{
            .path = datagram.path, .segment_size = datagram.segment_size, .bytes = datagram.bytes};
        static_cast<void>(port_->send_batch({&reply, 1}));
        received += datagram.bytes.size() / datagram.segment_size;
      }
    }
  }
  void on_udp_writable(Instant) override {}
  std::uint64_t received = 0;

 private:
  std::unique_ptr<UdpPort> port_;
};

// Sends a numbered datagram every 10 ms and notes the answers.
class Pinger final : public UdpHandler {
 public:
  Pinger(SimHost& host, const SocketAddress& to)
      : host_(host),
        to_(to),
        port_(*host.open_udp({.bind = {IpAddress::loopback(Family::v4), 0}}, *this)) {}

  void start() {
    host_.world().after(milliseconds(10), [this](Instant) {
      const std::array<std::uint8_t, 2> number{static_cast<std::uint8_t>(sent >> 8),
                                               static_cast<std::uint8_t>(sent)};
      const TxBatch batch{.path = {.local = {}, .remote = to_}, .segment_size = 2, .bytes = number};
      static_cast<void>(port_->send_batch({&batch, 1}));
      ++sent;
      start();
    });
  }
  void on_udp_readable(Instant now) override {
    std::array<RxDatagram, 16> batch;
    while (const std::size_t count = port_->recv_batch(batch)) {
      for (const RxDatagram& datagram : std::span(batch).first(count)) {
        answers += datagram.bytes.size() / datagram.segment_size;
        if (last != Instant{}) longest_gap = std::max(longest_gap, now - last);
        last = now;
      }
    }
  }
  void on_udp_writable(Instant) override {}

  std::uint64_t sent = 0;
  std::uint64_t answers = 0;
  Duration longest_gap{};
  Instant last{};

 private:
  SimHost& host_;
  SocketAddress to_;
  std::unique_ptr<UdpPort> port_;
};

TEST(SimMultipath, datagrams_use_the_paths_as_the_mode_says) {
  const Path path{.bits_per_second = 20'000'000, .delay = milliseconds(20)};
  for (const Multipath mode : {Multipath::aggregate, Multipath::redundant}) {
    TunnelWorldConfig config = two_paths(mode, path, path);
    config.tunnels = {"udp://127.0.0.1:9001>127.0.0.1:7001"};
    TunnelWorld tunnel(1, config);
    wait_for_paths(tunnel, 2);
    Echo echo(*tunnel.server_hosts[0], {IpAddress::loopback(Family::v4), 9001});
    Pinger pinger(*tunnel.client_host, {IpAddress::loopback(Family::v4), 7001});
    pinger.start();
    tunnel.world.run_for(seconds(10));
    // Each once, however many ways it took.
    EXPECT_LE(pinger.answers, pinger.sent);
    EXPECT_GE(pinger.answers + 10, pinger.sent) << word_of(mode);
    EXPECT_LE(echo.received, pinger.sent);
    for (const peer::ClientPath& each : tunnel.client->paths()) {
      EXPECT_GT(each.connection.packets_sent, pinger.sent / 3) << word_of(mode);
    }
    if (mode == Multipath::aggregate) continue;
    set_link_down(tunnel, true);
    tunnel.world.run_for(seconds(10));
    EXPECT_LT(pinger.longest_gap, milliseconds(40 + 50));
    EXPECT_GE(pinger.answers + 10, pinger.sent);
    set_link_down(tunnel, false);
    tunnel.world.run_for(seconds(10));
    set_second_down(tunnel, true);
    tunnel.world.run_for(seconds(10));
    EXPECT_LT(pinger.longest_gap, milliseconds(40 + 50)) << tunnel.report();
    EXPECT_GE(pinger.answers + 10, pinger.sent);
  }
}

TEST(SimMultipath, the_session_moves_to_the_faster_path) {
  const Path near{.bits_per_second = 20'000'000, .delay = milliseconds(5)};
  const Path far{.bits_per_second = 20'000'000, .delay = milliseconds(80)};
  TunnelWorld tunnel(1, two_paths(Multipath::fastest, near, near));
  wait_for_paths(tunnel, 2);
  const IpAddress before = tunnel.client->paths()[0].path.local.ip;
  tunnel.client_machine->uplink().delay = far.delay;
  Talker& talker = tunnel.call({.seed = 3, .upload_bytes = 60'000'000});
  tunnel.world.run_for(seconds(20));
  EXPECT_NE(tunnel.client->paths()[0].path.local.ip, before) << tunnel.report();
  ASSERT_TRUE(run_until_over(tunnel, talker, seconds(120)));
  EXPECT_EQ(talker.state(), Talker::State::finished) << tunnel.report();
}

// Both ends say the same of a path that carries nothing.
TEST(SimMultipath, a_path_that_waits_is_standby_at_both_ends) {
  const Path path{.bits_per_second = 20'000'000, .delay = milliseconds(10)};
  for (const Multipath mode : {Multipath::fastest, Multipath::aggregate}) {
    TunnelWorld tunnel(1, two_paths(mode, path, path));
    wait_for_paths(tunnel, 2);
    Talker& talker = tunnel.call({.seed = 1, .upload_bytes = 100'000});
    ASSERT_TRUE(run_until_over(tunnel, talker, seconds(20)));
    const bool is_standby = mode == Multipath::fastest;
    EXPECT_EQ(tunnel.client->paths().at(1).is_standby, is_standby);
    const auto sessions = tunnel.servers[0]->sessions(1);
    ASSERT_EQ(sessions.at(0).joined.size(), 1U);
    EXPECT_EQ(sessions.at(0).joined[0].is_standby, is_standby);
  }
}

TEST(SimMultipath, uses_both_address_families) {
  TunnelWorldConfig config;
  config.client_up = config.client_down = link(20'000'000, milliseconds(10));
  config.has_second_server_address = true;
  config.multipath = Multipath::aggregate;
  TunnelWorld tunnel(1, config);
  wait_for_paths(tunnel, 2);
  Talker& talker = tunnel.call({.seed = 3, .upload_bytes = 10'000'000});
  ASSERT_TRUE(run_until_over(tunnel, talker, seconds(60)));
  EXPECT_EQ(talker.state(), Talker::State::finished) << tunnel.report();
  for (const peer::ClientPath& path : tunnel.client->paths()) {
    EXPECT_GT(path.connection.bytes_sent, 3'000'000U) << path.path.remote.text();
  }
}

// --- outages of any length at any moment on any path
// -----------------------------------------------

struct Outage {
  bool is_on_first = false;
  bool is_on_second = false;
  Duration begin{};
  Duration length{};
};

// One of the two programs does not run.
struct Stop {
  bool is_server = false;
  Duration begin{};
  Duration length{};
};

struct Drawn {
  TunnelWorldConfig config;
  std::vector<PlannedFlow> flows;
  std::vector<Outage> outages;
  std::vector<Stop> stops;
  bool may_reset = false;  // an outage of all paths outlasts the grace
};

FlowPlan draw_plan(Rng& rng) {
  FlowPlan plan;
  plan.seed = rng.next();
  plan.upload_bytes = static_cast<std::uint32_t>(rng.below(rng.below(4) == 0 ? 400'000 : 9'000));
  plan.download_bytes = static_cast<std::uint32_t>(rng.below(rng.below(4) == 0 ? 400'000 : 9'000));
  plan.callee_waits_for_end = rng.below(4) == 0;
  plan.caller_waits_for_end = !plan.callee_waits_for_end && rng.below(4) == 0;
  if (rng.below(6) == 0 && plan.upload_bytes > 1) {
    auto& where = rng.below(2) == 0 ? plan.caller_resets_after : plan.callee_resets_after;
    where = 1 + static_cast<std::uint32_t>(rng.below(plan.upload_bytes - 1));
  }
  plan.read_chunk_bytes = 1 + static_cast<std::uint32_t>(rng.below(20'000));
  const std::uint64_t larger = std::max(plan.upload_bytes, plan.download_bytes);
  const std::uint64_t reads = 1 + larger / plan.read_chunk_bytes;
  if (rng.below(2) == 0) {
    plan.read_pause_us = static_cast<std::uint32_t>(1'000 + rng.below(20'000'000) / reads);
  }
  return plan;
}

LinkConfig draw_link(Rng& rng) {
  LinkConfig link;
  link.bits_per_second = rng.below(2) == 0 ? 0 : 2'000'000 + rng.below(50'000'000);
  link.delay = microseconds(rng.below(100'000));
  if (rng.below(3) == 0) link.loss = 0.1 * rng.unit();
  return link;
}

Drawn draw(std::uint64_t seed) {
  SeededRng rng = SeededRng(seed).split(1);
  Drawn drawn;
  TunnelWorldConfig& config = drawn.config;
  config.multipath = static_cast<Multipath>(rng.below(3));
  config.client_up = draw_link(rng);
  config.client_down = draw_link(rng);
  config.second_client_interface = SecondInterface{.up = draw_link(rng), .down = draw_link(rng)};
  config.has_second_server_address = rng.below(3) == 0;
  config.client_knobs.stream_buffer_bytes = 1'000 + rng.below(100'000);
  config.server_knobs.stream_buffer_bytes = 1'000 + rng.below(100'000);
  config.server_workers = rng.below(2) == 0 ? 3 : 1;
  config.transport.idle_timeout = seconds(3 + rng.below(30));
  config.transport.keep_alive = seconds(1);
  config.resume_grace = seconds(60);
  const std::uint64_t flows = 1 + rng.below(24);
  for (std::uint64_t i = 0; i < flows; ++i) {
    const FlowPlan plan = draw_plan(rng);
    drawn.flows.push_back({.plan = plan, .start = milliseconds(rng.below(12'000))});
  }
  drawn.may_reset = rng.below(10) == 0;
  Duration at{};
  for (std::uint64_t i = 0, count = 1 + rng.below(6); i < count; ++i) {
    const std::uint64_t which = rng.below(5);
    Outage outage{.is_on_first = which < 2 || which == 4,
                  .is_on_second = which >= 2,
                  .begin = at + milliseconds(rng.below(4'000)),
                  .length = milliseconds(rng.below(rng.below(2) == 0 ? 400 : 12'000))};
    if (drawn.may_reset && i == 0) {
      outage.is_on_first = outage.is_on_second = true;
      outage.length = seconds(50 + rng.below(100));
    }
    at = outage.begin + (rng.below(2) == 0 ? outage.length : outage.length / 2);
    drawn.outages.push_back(outage);
  }
  for (std::uint64_t i = 0, count = rng.below(3); i < count; ++i) {
    drawn.stops.push_back({.is_server = rng.below(2) == 0,
                           .begin = milliseconds(rng.below(15'000)),
                           .length = milliseconds(rng.below(rng.below(2) == 0 ? 400 : 8'000))});
  }
  return drawn;
}

void set_outage(TunnelWorld& tunnel, const Outage& outage, bool is_down) {
  if (outage.is_on_first) set_link_down(tunnel, is_down);
  if (outage.is_on_second) set_second_down(tunnel, is_down);
}

SeedOutcome run(std::uint64_t seed) {
  const Drawn drawn = draw(seed);
  TunnelWorld tunnel(seed, drawn.config);
  const auto fail = [&](std::string why) {
    return SeedOutcome{.why = std::move(why) + "\n" + tunnel.report()};
  };
  if (!tunnel.connect(seconds(60))) return fail("did not connect");
  for (const Outage& outage : drawn.outages) {
    tunnel.world.after(outage.begin,
                       [&tunnel, &outage](Instant) { set_outage(tunnel, outage, true); });
    tunnel.world.after(outage.begin + outage.length,
                       [&tunnel, &outage](Instant) { set_outage(tunnel, outage, false); });
  }
  for (const Stop& stop : drawn.stops) {
    tunnel.world.after(stop.begin, [&tunnel, &stop](Instant) {
      stop.is_server ? tunnel.stop_server(stop.length) : tunnel.stop_client(stop.length);
    });
  }
  if (auto why = outlive(tunnel, drawn.flows, drawn.may_reset); !why.empty()) {
    return fail(std::move(why));
  }
  // It may just have moved to the other path, for the better.
  const auto has_both = [&] { return tunnel.client->paths().size() >= 2; };
  if (!tunnel.world.run_until(has_both, tunnel.world.now() + seconds(20))) {
    return fail("the other path does not come back");
  }
  return {.trace_hash = tunnel.world.trace_hash()};
}

TEST(SimMultipathSeeds, every_byte_survives_every_outage) {
  try_seeds(300, run, 0.5);
}

}  // namespace
}  // namespace culvert::sim
