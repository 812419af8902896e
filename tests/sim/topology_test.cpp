// Client and server with a network between them: NATs in a row, firewalls, bottlenecks that flows
// share, routes that change.
#include "tests/sim/seeds.h"
#include "tests/sim/survival.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

const IpAddress kInsideIp = IpAddress::v4(0xc0a80102);   // 192.168.1.2
const IpAddress kHomeIp = IpAddress::v4(0x64400002);     // 100.64.0.2, in the carrier's network
const IpAddress kCarrierIp = IpAddress::v4(0xcb007101);  // 203.0.113.1
const std::string kServerNetwork = "198.51.100.0/24";
const std::string kClientNetwork = "192.0.2.0/24";

LinkConfig line(std::uint64_t bits_per_second, Duration delay) {
  return {.bits_per_second = bits_per_second,
          .delay = delay,
          .queue_bytes = queue_bytes_for(std::max<std::uint64_t>(bits_per_second, 1'000'000),
                                         milliseconds(60)),
          .mtu = 1'500};
}

// The client's home NAT, and the carrier's in front of it.
struct Nested {
  NatConfig home{.public_ip = kHomeIp};
  NatConfig carrier{.public_ip = kCarrierIp};
  LinkConfig link{.delay = milliseconds(5), .mtu = 1'500};
  Nat* home_nat = nullptr;
  Nat* carrier_nat = nullptr;

  void lay_out(Network& network, Machine& client) {
    Router& home_router = network.add_router({.name = "home", .nat = home});
    Router& carrier_router = network.add_router({.name = "carrier", .nat = carrier});
    network.put_behind(home_router, carrier_router, {}, link, link);
    network.put_behind(carrier_router, network.core());
    client.set_addresses({kInsideIp});
    client.attach(home_router);
    home_nat = home_router.nat();
    carrier_nat = carrier_router.nat();
  }
};

// A firewall in front of a machine.
void guard(Network& network, Machine& machine, const std::string& prefix, FirewallConfig firewall) {
  Router& router =
      network.add_router({.name = machine.name() + "'s", .firewall = std::move(firewall)});
  network.put_behind(router, network.core(), {prefix});
  machine.attach(router);
}

std::vector<PlannedFlow> some_flows(std::size_t count, std::uint32_t bytes, Duration spread) {
  std::vector<PlannedFlow> flows;
  for (std::size_t i = 0; i < count; ++i) {
    flows.push_back({.plan = {.seed = i + 1, .upload_bytes = bytes, .download_bytes = bytes},
                     .start = spread * static_cast<int>(i) / static_cast<int>(count)});
  }
  return flows;
}

TEST(SimTopology, a_client_behind_two_nats_goes_on_when_either_reboots) {
  for (const bool is_carrier : {false, true}) {
    Nested nested;
    nested.home.ports = PortAllocation::random;
    nested.carrier.ports = PortAllocation::block;
    nested.carrier.mapping = NatBehaviour::address_and_port_dependent;
    TunnelWorldConfig config;
    config.lay_out = [&](Network& network, Machine& client, Machine&) {
      nested.lay_out(network, client);
    };
    TunnelWorld tunnel(1, config);
    ASSERT_TRUE(tunnel.connect());
    const auto sessions = tunnel.servers.front()->sessions(1);
    ASSERT_EQ(sessions.size(), 1U);
    EXPECT_EQ(sessions.front().path->remote.ip, kCarrierIp);
    tunnel.world.after(milliseconds(700), [&](Instant) {
      (is_carrier ? nested.carrier_nat : nested.home_nat)->forget_mappings();
    });
    EXPECT_EQ(outlive(tunnel, some_flows(8, 300'000, seconds(1)), false), "") << tunnel.report();
    EXPECT_EQ(tunnel.client->stats().sessions_opened, 1U);
    EXPECT_EQ(tunnel.client->stats().sessions_resumed, 0U) << "the connection is the same";
  }
}

TEST(SimTopology, a_server_behind_a_firewall_is_reached_by_its_open_port_only) {
  for (const bool is_open : {true, false}) {
    TunnelWorldConfig config;
    config.lay_out = [&](Network& network, Machine&, Machine& server) {
      FirewallConfig firewall;
      if (is_open) firewall.open_ports = {TunnelWorld::kServerPort};
      guard(network, server, kServerNetwork, firewall);
    };
    TunnelWorld tunnel(1, config);
    EXPECT_EQ(tunnel.connect(), is_open);
    if (is_open) {
      EXPECT_EQ(outlive(tunnel, some_flows(5, 100'000, seconds(1)), false), "") << tunnel.report();
    } else {
      EXPECT_TRUE(tunnel.is_finished);
    }
  }
}

// What a user in a hotel or an office reads.
TEST(SimTopology, a_client_without_udp_says_so) {
  for (const UdpEgress egress : {UdpEgress::none, UdpEgress::listed_ports}) {
    TunnelWorldConfig config;
    config.lay_out = [&](Network& network, Machine& client, Machine&) {
      guard(network, client, kClientNetwork, {.udp_egress = egress});
    };
    TunnelWorld tunnel(1, config);
    const Instant start = tunnel.world.now();
    EXPECT_FALSE(tunnel.connect());
    ASSERT_TRUE(tunnel.is_finished);
    EXPECT_EQ(tunnel.world.now() - start, limits::kDialTimeout);
    ASSERT_TRUE(tunnel.end_error);
    EXPECT_EQ(tunnel.end_error->kind, ErrorKind::unreachable);
    EXPECT_EQ(tunnel.end_error->text(),
              "could not connect to the server; 198.51.100.1:4433: no answer over UDP; is the "
              "server running, and do all firewalls on the way let UDP through to its port?");
  }
}

TEST(SimTopology, a_network_with_few_udp_ports_is_enough_where_the_server_has_one) {
  TunnelWorldConfig config;
  config.lay_out = [&](Network& network, Machine& client, Machine&) {
    guard(network, client, kClientNetwork,
          {.udp_egress = UdpEgress::listed_ports, .egress_ports = {TunnelWorld::kServerPort}});
  };
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  EXPECT_EQ(outlive(tunnel, some_flows(5, 100'000, seconds(1)), false), "") << tunnel.report();
}

TEST(SimTopology, fifty_flows_survive_that_their_nat_reboots) {
  TunnelWorldConfig config;
  config.client_up = config.client_down = line(50'000'000, milliseconds(10));
  config.has_nat = true;
  config.nat.ports = PortAllocation::sequential;
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  for (const Duration at : {milliseconds(500), milliseconds(2'000)}) {
    tunnel.world.after(at, [&](Instant) { tunnel.nat->forget_mappings(); });
  }
  EXPECT_EQ(outlive(tunnel, some_flows(50, 200'000, seconds(1)), false), "") << tunnel.report();
  EXPECT_EQ(tunnel.client->stats().sessions_opened, 1U);
}

// A NAT that forgets sooner than keep-alives come: the server cannot send first, but the client
// does, from another port, and the session goes on.
TEST(SimTopology, an_idle_session_survives_a_nat_with_a_short_memory) {
  TunnelWorldConfig config;
  config.has_nat = true;
  config.nat.ports = PortAllocation::sequential;
  config.nat.mapping_timeout = seconds(4);
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  tunnel.world.run_for(seconds(300));
  EXPECT_EQ(outlive(tunnel, some_flows(3, 100'000, seconds(1)), false), "") << tunnel.report();
  EXPECT_EQ(tunnel.client->stats().sessions_opened, 1U);
}

// --- bottlenecks and routes --------------------------------------------------------------------

// Another client of the same server, on a machine of its own.
class SecondClient final : public peer::ClientObserver {
 public:
  SecondClient(TunnelWorld& tunnel, Router& router)
      : machine_(tunnel.network.add_machine("second", {IpAddress::v4(0xc0000202)})),
        host_(machine_, {}) {
    machine_.attach(router);
    peer::ClientConfig config = tunnel.client_config();
    SeededRng rng = tunnel.world.rng_for("second client");
    config.endpoint.identity = crypto::SecretKey::generate(rng);
    client_ = std::move(*role::Client::create(host_, tunnel.log, std::move(config), *this));
    client_->start(tunnel.world.now());
  }
  void on_connected(Instant, const SocketAddress&) override { is_connected = true; }
  void on_listening(Instant, const tunnel::TunnelSpec&, const std::string&) override {}
  void on_finished(Instant, std::optional<Error>) override {}
  std::unique_ptr<Talker> call(const FlowPlan& plan) {
    return Talker::call(
        host_, SocketAddress{IpAddress::loopback(Family::v4), TunnelWorld::kLocalPort}, plan);
  }
  bool is_connected = false;

 private:
  Machine& machine_;
  SimHost host_;
  std::unique_ptr<role::Client> client_;
};

TEST(SimTopologyFigures, two_sessions_share_a_link_in_the_middle) {
  constexpr std::uint64_t kRate = 20'000'000;
  constexpr std::uint32_t kBytes = 8'000'000;
  Router* west = nullptr;
  TunnelWorldConfig config;
  config.lay_out = [&](Network& network, Machine& client, Machine&) {
    west = &network.add_router({.name = "west"});
    network.put_behind(*west, network.core(), {kClientNetwork}, line(kRate, milliseconds(10)),
                       line(kRate, milliseconds(10)));
    client.attach(*west);
  };
  TunnelWorld tunnel(1, config);
  SecondClient second(tunnel, *west);
  ASSERT_TRUE(tunnel.connect());
  ASSERT_TRUE(
      tunnel.world.run_until([&] { return second.is_connected; }, tunnel.world.now() + seconds(5)));
  const Instant start = tunnel.world.now();
  const Talker& first_flow = tunnel.call({.seed = 1, .download_bytes = kBytes});
  const auto second_flow = second.call({.seed = 2, .download_bytes = kBytes});
  const auto is_running = [](const Talker& talker) {
    return talker.state() == Talker::State::running;
  };
  // Figures of ten seconds, where both run.
  tunnel.world.run_for(seconds(1));
  const std::uint64_t first_at_begin = first_flow.received();
  const std::uint64_t second_at_begin = second_flow->received();
  tunnel.world.run_for(seconds(4));
  ASSERT_TRUE(is_running(first_flow) && is_running(*second_flow));
  const auto first_part = static_cast<double>(first_flow.received() - first_at_begin);
  const auto second_part = static_cast<double>(second_flow->received() - second_at_begin);
  const double capacity = static_cast<double>(kRate) / 8 * 4;
  EXPECT_GT(first_part + second_part, 0.85 * capacity);
  EXPECT_LT(first_part + second_part, capacity);
  EXPECT_GT(std::min(first_part, second_part), 0.2 * (first_part + second_part));
  EXPECT_TRUE(tunnel.world.run_until(
      [&] { return !is_running(first_flow) && !is_running(*second_flow); }, start + seconds(20)));
  EXPECT_EQ(first_flow.state(), Talker::State::finished);
  EXPECT_EQ(second_flow->state(), Talker::State::finished);
}

// The client's network reaches the server's by a short way or by a long one.
struct TwoWays {
  LinkConfig near_link = line(50'000'000, milliseconds(5));
  LinkConfig far_link = line(20'000'000, milliseconds(60));
  Router* west = nullptr;
  Router* east = nullptr;
  std::optional<Network::Joint> near{};
  std::optional<Network::Joint> far{};

  [[nodiscard]] TunnelWorldConfig config() {
    TunnelWorldConfig config;
    config.lay_out = [this](Network& network, Machine& client, Machine& server) {
      west = &network.add_router({.name = "west"});
      east = &network.add_router({.name = "east"});
      near.emplace(network.join(*west, *east, near_link, near_link));
      far.emplace(network.join(*west, *east, far_link, far_link));
      turn(*near, true);
      client.attach(*west);
      server.attach(*east);
    };
    return config;
  }
  // From now on, and back as well if both ends hear of it.
  void turn(Network::Joint& joint, bool are_both_told) {
    west->add_route(kServerNetwork, joint.first);
    if (are_both_told) east->add_route(kClientNetwork, joint.second);
  }
};

// Both ends are told in time, or only the client's: packets come back another way.
TEST(SimTopology, a_transfer_goes_on_when_its_route_changes) {
  for (const bool are_both_told : {true, false}) {
    TwoWays ways;
    TunnelWorld tunnel(1, ways.config());
    ASSERT_TRUE(tunnel.connect());
    tunnel.world.after(seconds(1), [&](Instant) { ways.turn(*ways.far, are_both_told); });
    tunnel.world.after(seconds(8), [&](Instant) { ways.turn(*ways.near, true); });
    const auto round_trip = [&] { return tunnel.client->stats().connection.smoothed_rtt; };
    Duration before{};
    Duration meanwhile{};
    tunnel.world.after(milliseconds(900), [&](Instant) { before = round_trip(); });
    tunnel.world.after(seconds(6), [&](Instant) { meanwhile = round_trip(); });
    EXPECT_EQ(outlive(tunnel, some_flows(10, 1'000'000, seconds(10)), false), "")
        << tunnel.report();
    EXPECT_EQ(tunnel.client->stats().sessions_opened, 1U);
    EXPECT_EQ(tunnel.client->stats().sessions_resumed, 0U) << "the connection is the same";
    EXPECT_GT(ways.far->first.link->stats().delivered, 1'000U);
    EXPECT_EQ(ways.far->second.link->stats().delivered > 0, are_both_told);
    EXPECT_LT(before, milliseconds(100));
    EXPECT_GE(meanwhile, are_both_told ? milliseconds(120) : milliseconds(65));
  }
}

// The other way leads through a tunnel: it carries less, and says nothing of it.
TEST(SimTopology, a_transfer_goes_on_where_its_new_route_carries_less) {
  TwoWays ways;
  ways.far_link.mtu = 1'300;
  TunnelWorld tunnel(1, ways.config());
  ASSERT_TRUE(tunnel.connect());
  tunnel.world.after(seconds(1), [&](Instant) { ways.turn(*ways.far, true); });
  EXPECT_EQ(outlive(tunnel, some_flows(10, 1'000'000, seconds(10)), false), "") << tunnel.report();
  EXPECT_EQ(tunnel.client->stats().sessions_opened, 1U);
  EXPECT_EQ(tunnel.client->stats().sessions_resumed, 0U) << "the connection is the same";
  EXPECT_GT(ways.far->first.link->stats().delivered, 1'000U);
}

// --- any of them -------------------------------------------------------------------------------

NatConfig draw_nat(SeededRng& rng, const IpAddress& public_ip) {
  NatConfig nat{.public_ip = public_ip,
                .mapping = static_cast<NatBehaviour>(rng.below(3)),
                .filtering = static_cast<NatBehaviour>(rng.below(3)),
                .ports = static_cast<PortAllocation>(rng.below(4)),
                .mapping_timeout = seconds(20 + rng.below(100)),
                .is_refreshed_inbound = rng.below(2) == 0,
                .hairpinning = static_cast<Hairpinning>(rng.below(3)),
                .is_taken_by_strangers = rng.below(4) == 0};
  if (rng.below(4) == 0) {
    nat.pool = {IpAddress::v4(0xcb0071f0U + static_cast<std::uint32_t>(rng.below(8)))};
    nat.has_paired_pool = rng.below(2) == 0;
  }
  return nat;
}

SeedOutcome cross_a_network(std::uint64_t seed) {
  SeededRng rng = SeededRng(seed).split(1);
  Nested nested{.home = draw_nat(rng, kHomeIp), .carrier = draw_nat(rng, kCarrierIp)};
  nested.home.pool.clear();  // a home has one address
  const std::uint64_t rate = rng.below(2) == 0 ? 0 : 5'000'000 + rng.below(50'000'000);
  nested.link = line(rate, microseconds(rng.below(30'000)));
  if (rng.below(3) == 0) nested.link.loss = 0.05 * rng.unit();
  if (rng.below(3) == 0) nested.link.mtu = 1'228 + rng.below(300);
  const bool is_guarded = rng.below(2) == 0;
  TunnelWorldConfig config;
  config.server_workers = rng.below(3) == 0 ? 3 : 1;
  config.lay_out = [&](Network& network, Machine& client, Machine& server) {
    nested.lay_out(network, client);
    if (is_guarded) {
      guard(network, server, kServerNetwork, {.open_ports = {TunnelWorld::kServerPort}});
    }
  };
  std::vector<PlannedFlow> flows;
  for (std::uint64_t i = 0, count = 1 + rng.below(12); i < count; ++i) {
    flows.push_back({.plan = {.seed = seed * 100 + i,
                              .upload_bytes = static_cast<std::uint32_t>(rng.below(400'000)),
                              .download_bytes = static_cast<std::uint32_t>(rng.below(400'000))},
                     .start = milliseconds(rng.below(8'000))});
  }
  TunnelWorld tunnel(seed, config);
  if (!tunnel.connect(seconds(60))) return {.why = "did not connect\n" + tunnel.report()};
  for (std::uint64_t i = 0, count = rng.below(3); i < count; ++i) {
    Nat* nat = rng.below(2) == 0 ? nested.home_nat : nested.carrier_nat;
    tunnel.world.after(milliseconds(rng.below(8'000)), [nat](Instant) { nat->forget_mappings(); });
  }
  if (auto why = outlive(tunnel, flows, false); !why.empty()) {
    return {.why = std::move(why) + "\n" + tunnel.report()};
  }
  return {.trace_hash = tunnel.world.trace_hash()};
}

TEST(SimTopologySeeds, every_byte_crosses_every_network) {
  try_seeds(200, cross_a_network, 0.2);
}

}  // namespace
}  // namespace culvert::sim
