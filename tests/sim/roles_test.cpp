// Two machines of which each is a client and a server of the other, on one worker and one UDP port:
// what becomes of one role is nothing to the other.
#include "base/assert.h"
#include "drive/worker.h"
#include "role/client.h"
#include "role/server.h"
#include "sim/network.h"
#include "sim/sim_host.h"
#include "tests/sim/talker.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint16_t kPort = 4433;
constexpr std::uint16_t kTargetPort = 9000;
constexpr std::uint16_t kTunnelPort = 7000;
constexpr LinkConfig kLink{.bits_per_second = 20'000'000, .delay = milliseconds(10)};
const SocketAddress kTarget{IpAddress::loopback(Family::v4), kTargetPort};

drive::Worker& opened(drive::Worker& worker, const crypto::SecretKey& key) {
  const Status done = worker.open(
      {.identity = key}, {.bind = {IpAddress::any(Family::v4), kPort}, .has_large_buffers = true});
  CULVERT_ASSERT(done.has_value());
  return worker;
}

class Node final : public peer::ClientObserver {
 public:
  Node(Network& network, const std::string& name, const IpAddress& ip, std::uint8_t number)
      : machine(network.add_machine(name, {ip}, kLink, kLink)),
        host(machine, {}),
        key(crypto::SecretKey::from_seed({number})),
        worker(host, null_logger()),
        targets((opened(worker, key), host), kTarget) {
    SeededRng rng(number);
    token = session::generate_token(rng);
    CULVERT_ASSERT(policy.auth.tokens.add(*token).has_value());
    CULVERT_ASSERT(policy.sources.tcp.add("127.0.0.0/8").has_value());
  }
  void serve() {
    shared.policy = std::make_shared<const peer::ServerPolicy>(policy);
    auto made = role::Server::create(worker, {"culvert/1"}, shared);
    CULVERT_ASSERT(made.has_value());
    server = std::move(*made);
    server->start(host.now());
  }
  void use(const Node& other, std::vector<HostPort> names = {}) {
    peer::ClientConfig config{.endpoint = {.identity = key},
                              .server = other.key.public_key(),
                              .credentials = {.token = other.token}};
    if (names.empty()) config.addresses = {{other.machine.addresses().front(), kPort}};
    config.names = std::move(names);
    config.tunnels = tunnels_to(kTunnelPort);
    auto made = role::Client::create(worker, std::move(config), *this);
    CULVERT_ASSERT(made.has_value());
    client = std::move(*made);
    client->start(host.now());
  }
  [[nodiscard]] static tunnel::TunnelSet tunnels_to(std::uint16_t port) {
    auto set = tunnel::TunnelSet::make(
        {*tunnel::TunnelSpec::make({}, *tunnel::Source::parse_range("tcp://127.0.0.1:9000"),
                                   *tunnel::Target::parse("127.0.0.1:" + std::to_string(port)))});
    CULVERT_ASSERT(set.has_value());
    return std::move(*set);
  }
  Talker& call(const FlowPlan& plan, std::uint16_t port = kTunnelPort) {
    callers.push_back(
        Talker::call(host, SocketAddress{IpAddress::loopback(Family::v4), port}, plan));
    return *callers.back();
  }

  void on_connected(Instant, const SocketAddress&) override { is_connected = true; }
  void on_listening(Instant, const tunnel::TunnelSpec&, const std::string&) override {}
  void on_finished(Instant, std::optional<Error> error) override {
    is_finished = true;
    end = std::move(error);
  }

  Machine& machine;
  SimHost host;
  crypto::SecretKey key;
  peer::ServerPolicy policy;
  std::optional<session::Token> token;
  peer::ServerShared shared;
  drive::Worker worker;
  TalkerListener targets;
  std::unique_ptr<role::Server> server;
  std::unique_ptr<role::Client> client;
  std::vector<std::unique_ptr<Talker>> callers;
  bool is_connected = false;
  bool is_finished = false;
  std::optional<Error> end;
};

const IpAddress kFirstIp = IpAddress::v4(0xc0000201);
const IpAddress kSecondIp = IpAddress::v4(0xc6336401);

struct Mesh {
  explicit Mesh(bool knows_first_by_name = false) {
    network.names["first.example"] = {kFirstIp};
    for (Node* node : {&first, &second}) node->serve();
    first.use(second);
    second.use(first, knows_first_by_name ? std::vector<HostPort>{{"first.example", kPort}}
                                          : std::vector<HostPort>{});
    EXPECT_TRUE(run([&] { return first.is_connected && second.is_connected; }));
  }
  bool run(const std::function<bool()>& done, Duration within = seconds(60)) {
    return world.run_until(done, world.now() + within);
  }
  // From either machine one at once, which are under way when this returns.
  void call_both_ways() {
    to_second = &first.call({.seed = 3, .upload_bytes = 5'000'000, .download_bytes = 5'000'000});
    to_first = &second.call({.seed = 4, .upload_bytes = 5'000'000, .download_bytes = 5'000'000});
    EXPECT_TRUE(run([&] { return to_first->received() > 0 && to_second->received() > 0; }));
  }
  void expect_whole(const Talker& talker) {
    EXPECT_TRUE(run([&] { return talker.state() != Talker::State::running; }));
    EXPECT_EQ(talker.state(), Talker::State::finished) << talker.describe();
    EXPECT_FALSE(talker.has_wrong_bytes());
  }

  World world{1};
  Network network{world};
  Node first{network, "first", kFirstIp, 1};
  Node second{network, "second", kSecondIp, 2};
  Talker* to_first = nullptr;
  Talker* to_second = nullptr;
};

TEST(SimRoles, of_one_worker_carry_tunnels_both_ways_through_one_port) {
  Mesh mesh;
  std::uint64_t others = 0;
  mesh.network.tap = [&](Instant, Packet& packet) {
    if (packet.from.port != kPort || packet.to.port != kPort) ++others;
    return true;
  };
  mesh.call_both_ways();
  mesh.expect_whole(*mesh.to_first);
  mesh.expect_whole(*mesh.to_second);
  EXPECT_EQ(others, 0U);
  for (const Node* node : {&mesh.first, &mesh.second}) {
    EXPECT_EQ(node->server->stats().sessions_active, 1U);
    EXPECT_EQ(node->server->stats().connections_active, 2U) << "one of either role";
  }
}

TEST(SimRoles, that_stop_leave_the_flows_of_the_others_alone) {
  {
    Mesh mesh;
    mesh.call_both_ways();
    bool has_stopped = false;
    mesh.first.server->stop(mesh.world.now(), [&](Instant) { has_stopped = true; });
    mesh.first.server->stop(mesh.world.now(), [&](Instant) { has_stopped = true; });
    EXPECT_TRUE(mesh.run([&] { return has_stopped; }));
    mesh.expect_whole(*mesh.to_second);
    EXPECT_TRUE(mesh.run([&] { return mesh.to_first->state() == Talker::State::reset; }));
    EXPECT_EQ(mesh.first.server->stats().sessions_active, 0U);
  }
  Mesh mesh;
  mesh.call_both_ways();
  for (int i = 0; i < 2; ++i) mesh.first.client->stop(mesh.world.now());
  EXPECT_TRUE(mesh.run([&] { return mesh.first.is_finished; }));
  EXPECT_FALSE(mesh.first.end);
  mesh.expect_whole(*mesh.to_first);
  EXPECT_TRUE(mesh.run([&] { return mesh.to_second->state() == Talker::State::reset; }));
}

// Whoever is there in its place takes over the protocol.
TEST(SimRoles, that_are_destroyed_leave_nothing_behind) {
  Mesh mesh;
  mesh.call_both_ways();
  mesh.first.server.reset();
  mesh.second.client.reset();
  mesh.expect_whole(*mesh.to_second);
  mesh.world.run_for(limits::kIdleTimeout);
  EXPECT_EQ(mesh.first.worker.endpoint().connection_count(), 1U);
  EXPECT_EQ(mesh.second.worker.endpoint().connection_count(), 1U);
  mesh.first.serve();
  mesh.second.is_connected = false;
  mesh.second.use(mesh.first);
  EXPECT_TRUE(mesh.run([&] { return mesh.second.is_connected; }));
  mesh.expect_whole(mesh.second.call({.seed = 5, .download_bytes = 100'000}));
}

TEST(SimRoles, are_reloaded_each_for_itself) {
  Mesh mesh;
  mesh.call_both_ways();
  // The client's tunnels: flows of one that is gone end.
  constexpr std::uint16_t kOtherPort = 7100;
  mesh.first.client->apply_tunnels(mesh.world.now(), Node::tunnels_to(kOtherPort));
  EXPECT_TRUE(mesh.run([&] { return mesh.to_second->state() == Talker::State::reset; }));
  Talker& through_the_other = mesh.first.call({.seed = 6, .upload_bytes = 5'000'000}, kOtherPort);
  mesh.expect_whole(*mesh.to_first);
  // The server's credentials: who has one that is revoked is out.
  peer::ServerPolicy policy = mesh.first.policy;
  policy.auth.tokens = {};
  mesh.first.server->set_policy(mesh.world.now(),
                                std::make_shared<const peer::ServerPolicy>(policy));
  EXPECT_TRUE(mesh.run([&] { return mesh.second.is_finished; }));
  mesh.expect_whole(through_the_other);
}

TEST(SimRoles, both_resume_after_an_outage) {
  Mesh mesh;
  mesh.call_both_ways();
  for (LinkConfig* link : {&mesh.first.machine.uplink(), &mesh.first.machine.downlink()}) {
    link->is_down = true;
  }
  mesh.world.run_for(limits::kIdleTimeout + seconds(10));
  for (LinkConfig* link : {&mesh.first.machine.uplink(), &mesh.first.machine.downlink()}) {
    link->is_down = false;
  }
  mesh.expect_whole(*mesh.to_first);
  mesh.expect_whole(*mesh.to_second);
  for (const Node* node : {&mesh.first, &mesh.second}) {
    EXPECT_EQ(node->client->stats().sessions_resumed, 1U);
  }
}

// Its client moves its connection there; whose server it is looks up its name anew.
TEST(SimRoles, both_go_on_at_another_address) {
  Mesh mesh(true);
  mesh.call_both_ways();
  const IpAddress elsewhere = IpAddress::v4(0xcb007109);
  mesh.network.names["first.example"] = {elsewhere};
  mesh.first.machine.set_addresses({elsewhere});
  mesh.expect_whole(*mesh.to_first);
  mesh.expect_whole(*mesh.to_second);
  EXPECT_EQ(mesh.first.client->stats().sessions_resumed, 0U) << "it has moved";
  EXPECT_EQ(mesh.second.client->stats().sessions_resumed, 1U);
  EXPECT_EQ(mesh.second.client->paths().at(0).path.remote, (SocketAddress{elsewhere, kPort}));
}

}  // namespace
}  // namespace culvert::sim
