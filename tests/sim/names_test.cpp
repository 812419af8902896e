// A server that is known by a name, which may stand for another address tomorrow; and clients
// whose users do not want to wait for the next try.
#include "peer/peer_finder.h"
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kName = "home.example";
const IpAddress kOtherIp = *IpAddress::parse("198.51.100.77");

TunnelWorldConfig by_name() {
  TunnelWorldConfig config;
  for (LinkConfig* link : {&config.client_up, &config.client_down}) {
    link->bits_per_second = 20'000'000;
    link->delay = milliseconds(10);
  }
  config.server_names = {{kName, TunnelWorld::kServerPort}};
  config.has_server_address = false;
  return config;
}

bool is_over(const Talker& talker) {
  return talker.state() != Talker::State::running;
}

// A provider gives the server another address; its name follows some time later.
TEST(SimNames, are_followed_while_flows_wait) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    TunnelWorld world(seed, by_name());
    world.network.names[kName] = {TunnelWorld::server_address().ip};
    ASSERT_TRUE(world.connect());
    Talker& talker = world.call({.seed = seed, .download_bytes = 5'000'000});
    world.world.run_for(milliseconds(500));
    ASSERT_FALSE(is_over(talker));
    world.server_machine->set_addresses({kOtherIp});
    SeededRng rng = SeededRng(seed).split(3);
    world.world.run_for(milliseconds(1000 + rng.below(30'000)));
    world.network.names[kName] = {kOtherIp};
    const Instant moved = world.world.now();
    ASSERT_TRUE(world.world.run_until([&] { return world.client->stats().sessions_resumed > 0; },
                                      moved + limits::kReconnectDelayMost + seconds(6)))
        << world.report();
    EXPECT_EQ(world.client->paths().at(0).path.remote.ip, kOtherIp);
    world.world.run_until([&] { return is_over(talker); }, world.world.now() + seconds(20));
    EXPECT_EQ(talker.state(), Talker::State::finished) << world.report();
    EXPECT_FALSE(talker.has_wrong_bytes());
  }
}

// Whoever is told of it by a name server that fails meanwhile keeps what he knew.
TEST(SimNames, that_cannot_be_looked_up_stand_for_what_they_stood_for) {
  TunnelWorld world(1, by_name());
  world.network.names[kName] = {TunnelWorld::server_address().ip};
  ASSERT_TRUE(world.connect());
  world.network.names.clear();
  set_link_down(world, true);
  world.world.run_for(limits::kIdleTimeout + seconds(10));
  ASSERT_FALSE(world.client->stats().is_connected);
  set_link_down(world, false);
  EXPECT_TRUE(world.world.run_until([&] { return world.client->stats().is_connected; },
                                    world.world.now() + seconds(20)))
      << world.report();
}

TEST(SimNames, that_are_looked_up_slowly_hold_no_address_back) {
  TunnelWorldConfig config = by_name();
  config.client_knobs.resolve_delay = seconds(4);
  config.has_server_address = true;
  TunnelWorld world(1, config);
  EXPECT_TRUE(world.connect(seconds(1))) << "by the address";
}

TEST(SimNames, join_a_try_that_is_under_way) {
  TunnelWorldConfig config = by_name();
  config.client_knobs.resolve_delay = seconds(2);
  config.server_names.push_back({"stale.example", TunnelWorld::kServerPort});
  TunnelWorld world(1, config);
  world.network.names["stale.example"] = {kOtherIp};  // nobody is there
  world.network.names[kName] = {TunnelWorld::server_address().ip};
  EXPECT_TRUE(world.connect(seconds(3))) << world.report();
}

TEST(SimNames, that_nobody_has_are_the_reason) {
  TunnelWorld world(1, by_name());
  EXPECT_FALSE(world.connect(seconds(1)));
  ASSERT_TRUE(world.end_error) << "at once";
  EXPECT_EQ(world.end_error->kind, ErrorKind::unreachable);
  EXPECT_NE(world.end_error->text().find("home.example: name not found"), std::string::npos)
      << world.end_error->text();
}

// Knows more of a server when a test says so.
class Informer final : public peer::PeerFinder {
 public:
  std::unique_ptr<peer::PeerSubscription> subscribe(Instant, const peer::PeerQuery&,
                                                    peer::FinderSink& its_sink) override {
    sink = &its_sink;
    return std::make_unique<Line>(*this);
  }
  void say(Instant now, const SocketAddress& address) const {
    sink->on_candidate(now, {.remote = address, .origin = path::Origin::discovered});
  }
  peer::FinderSink* sink = nullptr;
  bool answers = true;

 private:
  struct Line final : peer::PeerSubscription {
    explicit Line(const Informer& its_informer) : informer(its_informer) {}
    void search(Instant) override {}
    [[nodiscard]] bool is_searching() const override { return !informer.answers; }
    [[nodiscard]] std::vector<Error> failures() const override { return {}; }
    const Informer& informer;
  };
};

// A client that knows an address where nobody is, and has somebody to ask.
void start_client_with(TunnelWorld& world, Informer& informer,
                       std::vector<SocketAddress> addresses) {
  peer::ClientConfig config = world.client_config();
  config.addresses = std::move(addresses);
  config.finder = &informer;
  world.client_host = std::make_unique<SimHost>(*world.client_machine, HostKnobs{});
  auto client = role::Client::create(*world.client_host, world.log, std::move(config), world);
  ASSERT_TRUE(client);
  world.client = std::move(*client);
  world.client->start(world.world.now());
}

TEST(SimFinders, lead_to_ipv6_who_knew_but_ipv4) {
  Informer informer;
  TunnelWorldConfig config;
  config.has_second_server_address = true;
  TunnelWorld world(1, config);
  const SocketAddress at_v6{*world.server_machine->address_of(Family::v6),
                            TunnelWorld::kServerPort};
  start_client_with(world, informer, {{kOtherIp, TunnelWorld::kServerPort}});
  world.world.run_for(seconds(2));
  ASSERT_FALSE(world.is_connected);
  informer.say(world.world.now(), at_v6);
  EXPECT_TRUE(
      world.world.run_until([&] { return world.is_connected; }, world.world.now() + seconds(1)))
      << world.report();
  EXPECT_EQ(world.client->paths().at(0).path.remote, at_v6);
}

// The address that was given does not wait for them.
TEST(SimFinders, that_never_answer_hold_nobody_up) {
  Informer informer;
  informer.answers = false;
  TunnelWorld world(1, {});
  start_client_with(world, informer, {TunnelWorld::server_address()});
  EXPECT_TRUE(
      world.world.run_until([&] { return world.is_connected; }, world.world.now() + seconds(1)))
      << world.report();
}

// What is no longer said is not dialled any more: the next try fails at once.
TEST(SimFinders, take_back_what_they_said) {
  Informer informer;
  TunnelWorld world(1, {});
  start_client_with(world, informer, {{kOtherIp, TunnelWorld::kServerPort}});
  informer.say(world.world.now(), TunnelWorld::server_address());
  ASSERT_TRUE(
      world.world.run_until([&] { return world.is_connected; }, world.world.now() + seconds(1)));
  informer.sink->on_candidate_gone(world.world.now(), TunnelWorld::server_address());
  std::uint64_t dialled = 0;
  world.end_server();
  world.network.tap = [&](Instant, Packet& packet) {
    const bool is_first = packet.payload.size() >= 1200 && (packet.payload[0] & 0xF0) == 0xC0;
    if (is_first && packet.to.ip == TunnelWorld::server_address().ip) ++dialled;
    return true;
  };
  world.world.run_for(limits::kIdleTimeout + seconds(60));
  EXPECT_GT(world.client->stats().reconnect_attempts, 3U);
  EXPECT_EQ(dialled, 0U);
}

// What one client wants looked up leaves room for the others' names, and for its own addresses.
TEST(SimLookups, of_a_session_are_bounded) {
  TunnelWorldConfig config = by_name();
  config.server_names.clear();
  config.has_server_address = true;
  config.server_knobs.resolve_delay = seconds(3);
  config.tunnels.push_back("tcp://slow.example:9000>127.0.0.1:7001");
  TunnelWorld world(1, config);
  world.network.names["slow.example"] = {IpAddress::loopback(Family::v4)};
  ASSERT_TRUE(world.connect());
  const SocketAddress by_name_port{IpAddress::loopback(Family::v4), 7001};
  for (std::uint32_t i = 0; i < limits::kMaxSessionLookups + 5; ++i) {
    world.callers.push_back(
        Talker::call(*world.client_host, by_name_port, {.seed = i, .download_bytes = 1000}));
  }
  world.world.run_for(seconds(1));
  EXPECT_EQ(world.servers[0]->stats().flows_refused, 5U);
  world.world.run_for(seconds(4));
  const auto finished = std::ranges::count_if(
      world.callers, [](const auto& talker) { return talker->state() == Talker::State::finished; });
  EXPECT_EQ(finished, limits::kMaxSessionLookups) << world.report();
  // Each that is over gives its place back.
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < limits::kMaxSessionLookups; ++i) {
      world.callers.push_back(
          Talker::call(*world.client_host, by_name_port, {.seed = i, .download_bytes = 1000}));
    }
    world.world.run_for(seconds(4));
    EXPECT_EQ(world.servers[0]->stats().flows_refused, 5U) << round;
  }
}

// Whenever the network comes back, in a pause between tries or in one that lost its packets: a
// program that connects then is served within the time that a second packet takes.
TEST(SimWanted, clients_do_not_wait_for_the_next_try) {
  unsigned begun_for_it = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    TunnelWorldConfig config = by_name();
    config.server_names.clear();
    config.has_server_address = true;
    TunnelWorld world(seed, config);
    ASSERT_TRUE(world.connect());
    set_link_down(world, true);
    SeededRng rng = SeededRng(seed).split(5);
    world.world.run_for(limits::kIdleTimeout + milliseconds(20'000 + rng.below(40'000)));
    ASSERT_FALSE(world.client->stats().is_connected);
    set_link_down(world, false);
    const std::uint64_t tries = world.client->stats().reconnect_attempts;
    const Instant called = world.world.now();
    Talker& talker = world.call({.seed = seed, .download_bytes = 1000});
    world.world.run_until([&] { return is_over(talker); }, world.world.now() + seconds(20));
    EXPECT_EQ(talker.state(), Talker::State::finished) << world.report();
    EXPECT_LE(world.world.now() - called, milliseconds(1'500)) << world.report();
    if (world.client->stats().reconnect_attempts > tries) ++begun_for_it;
  }
  EXPECT_GT(begun_for_it, 20U);
}

// A program that connects without end makes no flood of dials.
TEST(SimWanted, clients_dial_no_more_often_for_many_than_for_one) {
  TunnelWorldConfig config = by_name();
  config.server_names.clear();
  config.has_server_address = true;
  TunnelWorld world(1, config);
  ASSERT_TRUE(world.connect());
  set_link_down(world, true);
  world.world.run_for(limits::kIdleTimeout + seconds(10));
  const std::uint64_t tries = world.client->stats().reconnect_attempts;
  for (int i = 0; i < 300; ++i) {
    world.call({.seed = 1, .download_bytes = 1});
    world.world.run_for(milliseconds(100));
  }
  EXPECT_LE(world.client->stats().reconnect_attempts - tries, 30U) << "one a second";
}

}  // namespace
}  // namespace culvert::sim
