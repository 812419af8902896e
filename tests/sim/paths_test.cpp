// Which path carries a session, and that no flow notices when that is another one: by migration,
// so nothing is opened or resumed anew.
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kName = "home.example";
const IpAddress kFirst = *IpAddress::parse("198.51.100.1");
const IpAddress kSecond = *IpAddress::parse("198.51.100.77");
const IpAddress kSixth = *IpAddress::parse("2001:db8:1::1");  // of the client

LinkConfig link_with(Duration delay) {
  return {.bits_per_second = 20'000'000, .delay = delay, .queue_bytes = 128 * 1024, .mtu = 1500};
}

TunnelWorldConfig plain(session::Dialect dialect = session::Dialect::culvert_1) {
  TunnelWorldConfig config;
  config.client_up = config.client_down = link_with(milliseconds(10));
  config.dialect = dialect;
  return config;
}

// The server has two addresses behind one name. Packets to and from those in `dead` are lost.
struct TwoAddresses : TunnelWorld {
  explicit TwoAddresses(TunnelWorldConfig config) : TunnelWorld(1, by_name(std::move(config))) {
    server_machine->add_interface(kSecond, link_with(milliseconds(1)), link_with(milliseconds(1)));
    network.names[kName] = {kFirst, kSecond};
    EXPECT_EQ(kFirst, server_address().ip);
    network.tap = [this](Instant, const Packet& packet) {
      return std::ranges::none_of(
          dead, [&](const IpAddress& ip) { return packet.to.ip == ip || packet.from.ip == ip; });
    };
  }
  static TunnelWorldConfig by_name(TunnelWorldConfig config) {
    config.server_names = {{kName, kServerPort}};
    config.has_server_address = false;
    return config;
  }

  std::vector<IpAddress> dead;
};

IpAddress remote_of(const TunnelWorld& world) {
  const auto paths = world.client->paths();
  return paths.empty() ? IpAddress() : paths[0].path.remote.ip;
}

bool run_until_at(TunnelWorld& world, const IpAddress& server, Duration within) {
  return world.world.run_until([&] { return remote_of(world) == server; },
                               world.world.now() + within);
}

void expect_same_session(const TunnelWorld& world, std::uint64_t flows) {
  const peer::ClientStats stats = world.client->stats();
  EXPECT_EQ(stats.sessions_opened, 1U) << world.report();
  EXPECT_EQ(stats.sessions_resumed, 0U) << world.report();
  EXPECT_EQ(stats.reconnect_attempts, 0U);
  EXPECT_EQ(world.servers[0]->stats().flows_opened, flows) << "none was opened anew";
}

void expect_finished(TunnelWorld& world, const Talker& talker) {
  world.world.run_until([&] { return talker.state() != Talker::State::running; },
                        world.world.now() + seconds(120));
  EXPECT_EQ(talker.state(), Talker::State::finished) << world.report();
  EXPECT_FALSE(talker.has_wrong_bytes() || talker.was_cut_short());
}

// --- to a better path ----------------------------------------------------------------------------

TunnelWorldConfig two_interfaces(Multipath mode = Multipath::fastest) {
  TunnelWorldConfig config = plain();
  const LinkConfig other = link_with(milliseconds(10));
  config.second_client_interface = SecondInterface{.up = other, .down = other};
  config.multipath = mode;
  return config;
}

void slow_down_first(TunnelWorld& world) {
  world.client_machine->uplink().delay = milliseconds(200);
  world.client_machine->downlink().delay = milliseconds(200);
}

bool run_until_paths(TunnelWorld& world, std::size_t count) {
  return world.world.run_until([&] { return world.client->paths().size() == count; },
                               world.world.now() + seconds(10));
}

bool run_until_on(TunnelWorld& world, const PathId& path) {
  return world.world.run_until([&] { return world.client->paths()[0].path == path; },
                               world.world.now() + seconds(20));
}

// The lane that has shown that the path works goes where the session was: both paths stay in use.
TEST(SimPaths, of_session_and_lane_are_exchanged_when_the_lane_has_the_better_one) {
  TunnelWorld world(1, two_interfaces());
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(run_until_paths(world, 2));
  const auto before = world.client->paths();
  const Talker& talker = world.call({.seed = 3, .upload_bytes = 60'000'000});
  world.world.run_for(seconds(1));
  slow_down_first(world);
  ASSERT_TRUE(run_until_on(world, before[1].path)) << world.report();
  world.world.run_for(seconds(3));
  const auto after = world.client->paths();
  ASSERT_EQ(after.size(), 2U) << world.report();
  EXPECT_EQ(after[0].path, before[1].path);
  EXPECT_EQ(after[1].path, before[0].path);
  EXPECT_EQ(world.client->stats().path_changes, 1U);
  expect_finished(world, talker);
  expect_same_session(world, 1);
}

// Lanes that carry their share have windows to lose: there the faster one becomes the session's.
TEST(SimPaths, in_use_at_the_same_time_keep_their_connections) {
  TunnelWorld world(1, two_interfaces(Multipath::aggregate));
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(run_until_paths(world, 2));
  const auto before = world.client->paths();
  const Talker& talker = world.call({.seed = 3, .upload_bytes = 60'000'000});
  world.world.run_for(seconds(1));
  slow_down_first(world);
  ASSERT_TRUE(run_until_on(world, before[1].path)) << world.report();
  EXPECT_EQ(world.client->stats().path_changes, 0U);
  expect_finished(world, talker);
  EXPECT_EQ(world.client->stats().sessions_opened, 1U);
  EXPECT_EQ(world.servers[0]->stats().flows_opened, 1U);
}

// The path that was left dies at that moment.
TEST(SimPaths, are_given_up_by_a_lane_that_does_not_get_there) {
  TunnelWorld world(1, two_interfaces());
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(run_until_paths(world, 2));
  const auto before = world.client->paths();
  const Talker& talker = world.call({.seed = 3, .upload_bytes = 60'000'000});
  slow_down_first(world);
  ASSERT_TRUE(run_until_on(world, before[1].path)) << world.report();
  set_link_down(world, true);
  ASSERT_TRUE(run_until_paths(world, 1)) << world.report();
  EXPECT_EQ(world.client->paths()[0].path, before[1].path);
  set_link_down(world, false);
  ASSERT_TRUE(run_until_paths(world, 2)) << world.report();
  EXPECT_EQ(world.client->paths()[1].path, before[0].path);
  expect_finished(world, talker);
  expect_same_session(world, 1);
}

// Keep-alives pass and are fast, whole packets do not.
TEST(SimPaths, are_not_better_where_whole_packets_do_not_pass) {
  TunnelWorld world(1, two_interfaces());
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(run_until_paths(world, 2));
  const auto before = world.client->paths();
  const Talker& talker = world.call({.seed = 3, .upload_bytes = 60'000'000});
  world.world.run_for(seconds(1));
  world.second_interface->up.config().mtu = 600;
  slow_down_first(world);
  world.world.run_for(seconds(30));
  EXPECT_EQ(world.client->paths()[0].path, before[0].path) << world.report();
  EXPECT_EQ(world.client->stats().path_changes, 0U);
  expect_finished(world, talker);
  expect_same_session(world, 1);
}

TEST(SimPaths, lead_from_version_four_to_six) {
  TunnelWorldConfig config = plain();
  config.has_second_server_address = true;
  TunnelWorld world(1, config);
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(world.world.run_until([&] { return world.client->paths().size() == 2; },
                                    world.world.now() + seconds(5)));
  ASSERT_TRUE(remote_of(world).is_v4());
  const Talker& upload = world.call({.seed = 3, .upload_bytes = 20'000'000});
  const Talker& download = world.call({.seed = 4, .download_bytes = 20'000'000});
  world.client_machine->uplink().delay = milliseconds(150);
  ASSERT_TRUE(world.world.run_until([&] { return remote_of(world).is_v6(); },
                                    world.world.now() + seconds(30)))
      << world.report();
  expect_finished(world, upload);
  expect_finished(world, download);
  expect_same_session(world, 2);
}

// --- where there is no other connection ----------------------------------------------------------

// A peer of mf/4 takes no further connections: the one there is tries the other addresses.
TEST(SimPaths, of_peers_with_one_connection_lead_away_from_an_address_that_dies_and_back) {
  for (const bool is_upload : {true, false}) {
    SCOPED_TRACE(is_upload);
    TwoAddresses world(plain(session::Dialect::mf_4));
    ASSERT_TRUE(world.connect());
    FlowPlan plan{.seed = 3};
    (is_upload ? plan.upload_bytes : plan.download_bytes) = 60'000'000;
    const Talker& talker = world.call(plan);
    world.world.run_for(seconds(2));
    const IpAddress begun = remote_of(world);
    const IpAddress other = begun == kFirst ? kSecond : kFirst;
    world.dead = {begun};
    ASSERT_TRUE(run_until_at(world, other, seconds(8))) << world.report();
    world.world.run_for(seconds(5));
    world.dead = {other};
    ASSERT_TRUE(run_until_at(world, begun, seconds(8))) << world.report();
    world.dead.clear();
    expect_finished(world, talker);
    expect_same_session(world, 1);
  }
}

// None answers for a while: whichever does then is found, as long as the connection lives.
TEST(SimPaths, of_peers_with_one_connection_are_tried_until_one_works) {
  TwoAddresses world(plain(session::Dialect::mf_4));
  ASSERT_TRUE(world.connect());
  const Talker& talker = world.call({.seed = 3, .download_bytes = 30'000'000});
  world.world.run_for(seconds(2));
  const IpAddress begun = remote_of(world);
  const IpAddress other = begun == kFirst ? kSecond : kFirst;
  world.dead = {kFirst, kSecond};
  world.world.run_for(seconds(10));
  world.dead = {begun};
  ASSERT_TRUE(run_until_at(world, other, seconds(15))) << world.report();
  expect_finished(world, talker);
  expect_same_session(world, 1);
}

// What only seems to be dead is not left for good, and costs nobody a flow.
TEST(SimPaths, of_peers_with_one_connection_survive_short_silences) {
  TwoAddresses world(plain(session::Dialect::mf_4));
  ASSERT_TRUE(world.connect());
  const Talker& talker = world.call({.seed = 3, .upload_bytes = 60'000'000});
  for (int i = 0; i < 10; ++i) {
    world.world.run_for(seconds(2));
    world.dead = {kFirst, kSecond};
    world.world.run_for(milliseconds(500 * i));
    world.dead.clear();
  }
  expect_finished(world, talker);
  expect_same_session(world, 1);
}

TEST(SimPaths, lead_to_version_six_when_the_only_address_of_four_is_gone) {
  TunnelWorldConfig config = plain(session::Dialect::mf_4);
  config.has_second_server_address = true;
  TunnelWorld world(1, config);
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(remote_of(world).is_v4());
  const Talker& talker = world.call({.seed = 3, .download_bytes = 30'000'000});
  world.world.run_for(seconds(2));
  const std::uint64_t before = talker.received();
  world.client_machine->set_addresses({kSixth});
  const Instant gone = world.world.now();
  ASSERT_TRUE(world.world.run_until([&] { return talker.received() > before + 1'000'000; },
                                    gone + seconds(5)))
      << world.report();
  EXPECT_TRUE(remote_of(world).is_v6());
  expect_finished(world, talker);
  expect_same_session(world, 1);
}

// The session goes on at the other address whatever the routes say about the first.
TEST(SimPaths, stay_where_they_were_chosen_when_the_network_changes) {
  TwoAddresses world(plain(session::Dialect::mf_4));
  ASSERT_TRUE(world.connect());
  const Talker& talker = world.call({.seed = 3, .upload_bytes = 30'000'000});
  world.world.run_for(seconds(2));
  const IpAddress begun = remote_of(world);
  const IpAddress other = begun == kFirst ? kSecond : kFirst;
  world.dead = {begun};
  ASSERT_TRUE(run_until_at(world, other, seconds(8))) << world.report();
  const auto addresses = world.client_machine->addresses();
  world.client_machine->set_addresses(addresses);  // something has changed, somewhere
  world.world.run_for(seconds(4));
  EXPECT_EQ(remote_of(world), other);
  expect_finished(world, talker);
  expect_same_session(world, 1);
}

}  // namespace
}  // namespace culvert::sim
