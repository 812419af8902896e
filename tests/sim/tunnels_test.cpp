// Tunnels that come and go while the client runs: the others do not notice.
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const IpAddress kLoopback = IpAddress::loopback(Family::v4);

tunnel::TunnelSpec spec(std::string name, std::uint16_t target_port,
                        const std::string& source = "tcp://127.0.0.1:9000") {
  return *tunnel::TunnelSpec::make(
      std::move(name), *tunnel::Source::parse(source),
      *tunnel::Target::parse("127.0.0.1:" + std::to_string(target_port)));
}

flow::TunnelStatus status_of(TunnelWorld& world, std::string_view label) {
  for (flow::TunnelStatus& status : world.client->tunnels()) {
    if (status.spec.label() == label) return std::move(status);
  }
  ADD_FAILURE() << "no tunnel " << label;
  return {};
}

// Takes a port and what comes to it.
struct Squatter final : ListenerHandler {
  Squatter(SimHost& host, std::uint16_t port)
      : listener(*host.listen_stream(SocketAddress{kLoopback, port}, Purpose::listener, *this)) {}
  void on_accept(Instant, std::unique_ptr<StreamPort> stream) override { stream->reset(); }
  std::unique_ptr<ListenerPort> listener;
};

Talker& call(TunnelWorld& world, std::uint16_t port, const FlowPlan& plan) {
  world.callers.push_back(Talker::call(*world.client_host, SocketAddress{kLoopback, port}, plan));
  return *world.callers.back();
}

bool is_over(const Talker& talker) {
  return talker.state() != Talker::State::running;
}

TunnelWorldConfig one_tunnel() {
  TunnelWorldConfig config;
  config.client_up.bits_per_second = config.client_down.bits_per_second = 20'000'000;
  config.client_up.delay = config.client_down.delay = milliseconds(10);
  return config;
}

// The long flow through the first tunnel runs while tunnels with flows of their own are
// added, removed, disabled, renamed and changed at random moments.
TEST(SimTunnels, come_and_go_while_another_tunnels_bytes_stay_exact) {
  for (std::uint64_t seed = 1; seed <= 25; ++seed) {
    SCOPED_TRACE(seed);
    TunnelWorld world(seed, one_tunnel());
    ASSERT_TRUE(world.connect());
    Talker& steady =
        world.call({.seed = seed, .upload_bytes = 3'000'000, .download_bytes = 3'000'000});
    SeededRng rng = SeededRng(seed).split(7);
    std::uint16_t next_port = 20'000;
    unsigned changes = 0;
    while (!is_over(steady)) {
      ASSERT_FALSE(world.is_finished);
      world.world.run_for(milliseconds(1 + rng.below(40)));
      const Instant now = world.world.now();
      const tunnel::TunnelSet& set = world.client->tunnel_set();
      // Never the first, which has no name.
      const auto any = [&] { return set.tunnels()[1 + rng.below(set.size() - 1)].label(); };
      ++changes;
      if (set.size() < 4 || rng.below(3) == 0) {
        const std::uint16_t port = next_port++;
        ASSERT_TRUE(world.client->add_tunnel(now, spec("t" + std::to_string(port), port)));
        for (std::uint64_t flows = rng.below(4); flows > 0; --flows) {
          call(world, port,
               {.seed = rng.next(),
                .upload_bytes = static_cast<std::uint32_t>(rng.below(400'000)),
                .download_bytes = static_cast<std::uint32_t>(rng.below(400'000))});
        }
      } else if (rng.below(3) == 0) {
        ASSERT_TRUE(world.client->remove_tunnel(now, any()));
      } else if (rng.below(2) == 0) {
        const std::string label = any();
        const bool is_enabled = status_of(world, label).spec.is_enabled;
        ASSERT_TRUE(world.client->enable_tunnel(now, label, !is_enabled));
      } else {
        const std::uint16_t port = next_port++;
        ASSERT_TRUE(
            world.client->replace_tunnel(now, any(), spec("t" + std::to_string(port), port)));
      }
    }
    EXPECT_GT(changes, 20U);
    EXPECT_EQ(steady.state(), Talker::State::finished) << world.report();
    EXPECT_FALSE(steady.has_wrong_bytes());
    EXPECT_EQ(steady.received(), 3'000'000U);
    // Flows of the others: whole, or reset with their tunnel; never wrong, never stuck.
    const auto all_over = [&] {
      return std::ranges::all_of(world.callers, [](const auto& t) { return is_over(*t); });
    };
    EXPECT_TRUE(world.world.run_until(all_over, world.world.now() + seconds(60))) << world.report();
    for (const auto& caller : world.callers) EXPECT_FALSE(caller->has_wrong_bytes());
    world.world.run_for(seconds(2));
    EXPECT_EQ(world.client->stats().flows_active, 0U);
    for (const auto& server : world.servers) EXPECT_EQ(server->stats().flows_active, 0U);
    for (const flow::TunnelStatus& status : world.client->tunnels()) {
      EXPECT_EQ(status.counters.flows_active, 0U) << status.spec.label();
    }
  }
}

TEST(SimTunnels, that_are_removed_end_their_flows_and_free_their_port) {
  TunnelWorld world(1, one_tunnel());
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(world.client->add_tunnel(world.world.now(), spec("gone", 7001)));
  Talker& caller = call(world, 7001, {.seed = 5, .download_bytes = 10'000'000});
  ASSERT_TRUE(world.world.run_until([&] { return caller.received() > 100'000; },
                                    world.world.now() + seconds(10)));
  EXPECT_EQ(status_of(world, "gone").counters.flows_active, 1U);
  EXPECT_GT(status_of(world, "gone").counters.bytes_down, 100'000U);
  const std::uint64_t before = world.client->stats().bytes_down;
  ASSERT_TRUE(world.client->remove_tunnel(world.world.now(), "gone"));
  world.world.run_for(seconds(1));
  EXPECT_EQ(caller.state(), Talker::State::reset);
  EXPECT_EQ(world.client->stats().flows_active, 0U);
  EXPECT_EQ(world.servers[0]->stats().flows_active, 0U);
  EXPECT_GE(world.client->stats().bytes_down, before) << "what it carried still counts";
  const Squatter takes_it(*world.client_host, 7001);
  EXPECT_FALSE(world.client->remove_tunnel(world.world.now(), "gone"));
}

TEST(SimTunnels, of_udp_end_with_their_tunnel) {
  struct Sender final : UdpHandler {
    void on_udp_readable(Instant) override {}
    void on_udp_writable(Instant) override {}
  } handler;
  TunnelWorld world(1, one_tunnel());
  ASSERT_TRUE(world.connect());
  const tunnel::TunnelSpec udp = spec("dns", 5353, "udp://127.0.0.1:53");
  ASSERT_TRUE(world.client->add_tunnel(world.world.now(), udp));
  auto port = *world.client_host->open_udp({.bind = {kLoopback, 0}}, handler);
  const Bytes query(40, 1);
  const TxBatch batch{.path = {.local = {}, .remote = {kLoopback, 5353}},
                      .segment_size = static_cast<std::uint16_t>(query.size()),
                      .bytes = query};
  ASSERT_EQ(port->send_batch(std::span(&batch, 1)).batches_taken, 1U);
  world.world.run_for(seconds(1));
  EXPECT_EQ(status_of(world, "dns").counters.flows_active, 1U);
  EXPECT_EQ(status_of(world, "dns").counters.bytes_up, 40U);
  EXPECT_EQ(world.servers[0]->stats().flows_active, 1U);
  ASSERT_TRUE(world.client->enable_tunnel(world.world.now(), "dns", false));
  world.world.run_for(seconds(1));
  EXPECT_EQ(world.client->stats().flows_active, 0U);
  EXPECT_EQ(world.servers[0]->stats().flows_active, 0U);
  EXPECT_EQ(status_of(world, "dns").state, flow::TunnelState::disabled);
  EXPECT_EQ(status_of(world, "dns").counters.flows_opened, 1U) << "counters outlive a pause";
}

// Sends back what comes, and keeps the sizes.
struct UdpEcho final : UdpHandler {
  UdpEcho(SimHost& host, std::uint16_t at_port)
      : port(*host.open_udp({.bind = {kLoopback, at_port}}, *this)) {}
  void on_udp_readable(Instant) override {
    std::array<RxDatagram, 8> batch;
    for (std::size_t count = 0; (count = port->recv_batch(batch)) != 0;) {
      for (const RxDatagram& datagram : std::span(batch).first(count)) {
        for_each_segment(datagram, [&](ByteView bytes) {
          sizes.push_back(bytes.size());
          if (echoes) send(datagram.path.remote, bytes);
        });
      }
    }
  }
  void on_udp_writable(Instant) override {}
  void send(const SocketAddress& to, ByteView bytes) {
    const TxBatch batch{.path = {.local = {}, .remote = to},
                        .segment_size = static_cast<std::uint16_t>(bytes.size()),
                        .bytes = bytes};
    ASSERT_EQ(port->send_batch({&batch, 1}).batches_taken, 1U);
  }
  bool echoes = true;
  std::vector<std::size_t> sizes;
  std::unique_ptr<UdpPort> port;
};

// As the first datagram of a flow, which waits for its stream and goes there; in DATAGRAM
// frames; numbered, where each goes twice; and at tunnel-rs, which has its stream only.
TEST(SimTunnels, of_udp_carry_empty_datagrams_as_any_other) {
  for (const auto dialect : {session::Dialect::culvert_1, session::Dialect::mf_4}) {
    for (const Multipath mode : {Multipath::fastest, Multipath::redundant}) {
      TunnelWorldConfig config = one_tunnel();
      config.dialect = dialect;
      config.tunnels.push_back("udp://127.0.0.1:9053>127.0.0.1:5353");
      config.multipath = mode;
      TunnelWorld world(1, config);
      ASSERT_TRUE(world.connect());
      const UdpEcho target(*world.server_hosts[0], 9053);
      UdpEcho sender(*world.client_host, 5400);
      sender.echoes = false;
      const Bytes query(40, 1);
      const std::vector<std::size_t> sizes{0, 40, 0, 0, 40};
      for (const std::size_t size : sizes) {
        sender.send({kLoopback, 5353}, ByteView(query).first(size));
        world.world.run_for(seconds(1));
      }
      EXPECT_EQ(target.sizes, sizes) << world.report();
      EXPECT_EQ(sender.sizes, sizes) << world.report();
    }
  }
}

// One client leaves sockets to the others: what it opens beyond its share is refused, with the
// reason, and what ends gives its place back. A target that does not answer counts as well.
TEST(SimTunnels, get_their_clients_share_of_the_servers_sockets) {
  TunnelWorldConfig config = one_tunnel();
  config.tunnels.push_back("udp://127.0.0.1:9053>127.0.0.1:5353");
  TunnelWorld world(1, config);
  world.shared.descriptors_per_session = 3;
  ASSERT_TRUE(world.connect());
  const FlowPlan endless{.seed = 1, .upload_bytes = 400'000'000};
  std::vector<Talker*> held;
  for (int i = 0; i < 3; ++i) held.push_back(&world.call(endless));
  world.world.run_for(seconds(1));
  EXPECT_EQ(world.servers[0]->stats().flows_refused, 0U);
  for (const Talker* talker : held) EXPECT_EQ(talker->state(), Talker::State::running);
  Talker& refused = world.call({.seed = 2, .download_bytes = 1'000});
  UdpEcho sender(*world.client_host, 5400);
  const Bytes query(40, 1);
  sender.send({kLoopback, 5353}, query);
  world.world.run_for(seconds(1));
  EXPECT_EQ(refused.state(), Talker::State::reset);
  EXPECT_EQ(world.servers[0]->stats().flows_refused, 2U);
  EXPECT_NE(status_of(world, "tcp://127.0.0.1:9000 -> 127.0.0.1:7000").reason.find("share"),
            std::string::npos);
  world.callers.erase(world.callers.begin());
  ASSERT_TRUE(world.world.run_until([&] { return world.servers[0]->stats().flows_active == 2; },
                                    world.world.now() + seconds(10)));
  Talker& next = world.call({.seed = 3, .download_bytes = 1'000});
  world.world.run_until([&] { return is_over(next); }, world.world.now() + seconds(10));
  EXPECT_EQ(next.state(), Talker::State::finished) << world.report();
}

// None has its socket yet when the next one begins.
TEST(SimTunnels, that_open_all_at_once_get_no_more_than_that_share) {
  TunnelWorldConfig config = one_tunnel();
  config.tunnels.push_back("udp://127.0.0.1:9053>127.0.0.1:5353");
  TunnelWorld world(1, config);
  world.shared.descriptors_per_session = 3;
  ASSERT_TRUE(world.connect());
  std::vector<std::unique_ptr<UdpEcho>> senders;
  const Bytes query(40, 1);
  for (std::uint16_t i = 0; i < 10; ++i) {
    world.call({.seed = i, .upload_bytes = 400'000'000});
    senders.push_back(
        std::make_unique<UdpEcho>(*world.client_host, static_cast<std::uint16_t>(5400 + i)));
    senders.back()->send({kLoopback, 5353}, query);
  }
  world.world.run_for(seconds(1));
  EXPECT_EQ(world.servers[0]->stats().flows_active, 3U) << world.report();
  EXPECT_EQ(world.servers[0]->stats().flows_refused, 17U) << world.report();
}

struct EventList final : peer::RoleEventSink {
  [[nodiscard]] bool wants_events() const override { return true; }
  void on_role_event(peer::RoleEvent event) override { events.push_back(std::move(event)); }
  // Of the tunnel, since the last time.
  std::vector<std::string> take_changes(std::string_view label) {
    std::vector<std::string> details;
    for (const peer::RoleEvent& event : std::exchange(events, {})) {
      const bool is_change = event.kind == peer::RoleEventKind::tunnel_changed;
      if (is_change && event.peer == label) details.push_back(event.detail);
    }
    return details;
  }
  std::vector<peer::RoleEvent> events;
};

TEST(SimTunnels, wait_for_a_port_that_is_taken) {
  EventList events;
  TunnelWorldConfig config = one_tunnel();
  config.client_events = &events;
  config.tunnels.push_back("tcp://127.0.0.1:9000>127.0.0.1:7001");
  TunnelWorld world(1, config);
  SimHost other_program(*world.client_machine, {});
  auto squatter = std::make_unique<Squatter>(other_program, 7001);
  ASSERT_TRUE(world.connect());
  const std::string label = "tcp://127.0.0.1:9000 -> 127.0.0.1:7001";
  world.world.run_for(seconds(10));
  ASSERT_FALSE(world.is_finished) << "the other tunnel can listen";
  flow::TunnelStatus status = status_of(world, label);
  EXPECT_EQ(status.state, flow::TunnelState::failed);
  EXPECT_NE(status.reason.find("in use"), std::string::npos) << status.reason;
  ASSERT_TRUE(status.next_retry);
  EXPECT_LE(*status.next_retry, world.world.now() + limits::kTunnelRetryMax);
  EXPECT_EQ(events.take_changes(label).size(), 1U) << "told once for one reason";
  squatter.reset();
  world.world.run_for(limits::kTunnelRetryMax);
  status = status_of(world, label);
  EXPECT_EQ(status.state, flow::TunnelState::listening);
  EXPECT_EQ(status.local_addresses, std::vector<std::string>{"127.0.0.1:7001"});
  Talker& caller = call(world, 7001, {.seed = 5, .download_bytes = 1000});
  world.world.run_until([&] { return is_over(caller); }, world.world.now() + seconds(10));
  EXPECT_EQ(caller.state(), Talker::State::finished);
}

// Each port leads to its own; what is taken costs the others nothing, and comes when it is free.
TEST(SimTunnels, of_a_range_are_one_tunnel_of_many_ports) {
  EventList events;
  TunnelWorldConfig config = one_tunnel();
  config.client_events = &events;
  config.tunnels = {"tcp://127.0.0.1:8998-9001>127.0.0.1:7000-7003"};
  TunnelWorld world(1, config);
  const TalkerListener last(*world.server_hosts[0], {kLoopback, 9001});
  SimHost other_program(*world.client_machine, {});
  auto squatter = std::make_unique<Squatter>(other_program, 7001);
  ASSERT_TRUE(world.connect());
  world.world.run_for(seconds(5));
  ASSERT_FALSE(world.is_finished) << "the other ports can be had";
  const std::string label = "tcp://127.0.0.1:8998-9001 -> 127.0.0.1:7000-7003";
  flow::TunnelStatus status = status_of(world, label);
  EXPECT_EQ(status.state, flow::TunnelState::listening);
  EXPECT_EQ(status.local_addresses,
            (std::vector<std::string>{"127.0.0.1:7000", "127.0.0.1:7002-7003"}));
  EXPECT_NE(status.reason.find("127.0.0.1:7001"), std::string::npos) << status.reason;
  EXPECT_TRUE(status.next_retry);
  EXPECT_EQ(events.take_changes(label).size(), 1U) << "told once";

  Talker& third = call(world, 7002, {.seed = 5, .download_bytes = 1000});  // to 9000
  Talker& fourth = call(world, 7003, {.seed = 6, .download_bytes = 1000});
  world.world.run_for(seconds(2));
  EXPECT_EQ(third.state(), Talker::State::finished) << world.report();
  EXPECT_EQ(fourth.state(), Talker::State::finished) << world.report();
  EXPECT_EQ(world.talkers->talkers().size(), 1U);
  EXPECT_EQ(last.talkers().size(), 1U);

  squatter.reset();
  const TalkerListener second(*world.server_hosts[0], {kLoopback, 8999});
  world.world.run_for(limits::kTunnelRetryMax);
  status = status_of(world, label);
  EXPECT_EQ(status.local_addresses, std::vector<std::string>{"127.0.0.1:7000-7003"});
  EXPECT_EQ(status.reason, "");
  Talker& caller = call(world, 7001, {.seed = 7, .download_bytes = 1000});
  world.world.run_for(seconds(2));
  EXPECT_EQ(caller.state(), Talker::State::finished) << world.report();
  EXPECT_EQ(second.talkers().size(), 1U);
  EXPECT_EQ(status_of(world, label).counters.flows_opened, 3U);
}

TEST(SimTunnels, of_a_range_carry_udp) {
  TunnelWorldConfig config = one_tunnel();
  config.tunnels.push_back("udp://127.0.0.1:9053-9055>127.0.0.1:5353-5355");
  TunnelWorld world(1, config);
  ASSERT_TRUE(world.connect());
  const UdpEcho first(*world.server_hosts[0], 9053);
  const UdpEcho last(*world.server_hosts[0], 9055);
  UdpEcho sender(*world.client_host, 5400);
  sender.echoes = false;
  const Bytes query(40, 1);
  sender.send({kLoopback, 5353}, ByteView(query).first(20));
  sender.send({kLoopback, 5355}, ByteView(query).first(30));
  world.world.run_for(seconds(1));
  EXPECT_EQ(first.sizes, std::vector<std::size_t>{20}) << world.report();
  EXPECT_EQ(last.sizes, std::vector<std::size_t>{30}) << world.report();
  std::ranges::sort(sender.sizes);
  EXPECT_EQ(sender.sizes, (std::vector<std::size_t>{20, 30})) << world.report();
}

TEST(SimTunnels, of_a_large_range_open_beside_others) {
  TunnelWorldConfig config = one_tunnel();
  config.tunnels.push_back("tcp://127.0.0.1:10000-13999>127.0.0.1:10000-13999");
  TunnelWorld world(1, config);
  ASSERT_TRUE(world.connect());
  const std::string label = "tcp://127.0.0.1:10000-13999 -> 127.0.0.1:10000-13999";
  EXPECT_LE(world.client_machine->listeners().size(), limits::kListenersPerTurn + 1);
  world.world.run_for(seconds(1));
  EXPECT_EQ(status_of(world, label).local_addresses,
            std::vector<std::string>{"127.0.0.1:10000-13999"});
  EXPECT_EQ(world.listening.size(), 2U) << "a line for each tunnel";
  ASSERT_TRUE(world.client->remove_tunnel(world.world.now(), label));
  EXPECT_EQ(world.client_machine->listeners().size(), 1U);
}

TEST(SimTunnels, work_while_the_socks_port_is_taken) {
  TunnelWorldConfig config = one_tunnel();
  config.socks5 = *tunnel::Target::parse("localhost:1080");
  TunnelWorld world(1, config);
  SimHost other_program(*world.client_machine, {});
  auto squatter = std::make_unique<Squatter>(other_program, 1080);
  ASSERT_TRUE(world.connect());
  world.world.run_for(seconds(3));
  ASSERT_FALSE(world.is_finished);
  const SocketAddress v6{IpAddress::loopback(Family::v6), 1080};
  EXPECT_TRUE(world.client_machine->listeners().contains(v6)) << "which is free";
  const auto mine = world.client_machine->listeners().size();
  squatter.reset();
  world.world.run_for(limits::kTunnelRetryMax);
  EXPECT_EQ(world.client_machine->listeners().size(), mine) << "IPv4 as well";
  world.client->stop(world.world.now());
  world.world.run_for(seconds(1));
  EXPECT_TRUE(world.client_machine->listeners().empty());
}

TEST(SimTunnels, end_the_client_at_its_start_when_none_can_listen) {
  TunnelWorld world(1, one_tunnel());
  SimHost other_program(*world.client_machine, {});
  const Squatter squatter(other_program, TunnelWorld::kLocalPort);
  world.start_client();
  world.world.run_until([&] { return world.is_finished; }, world.world.now() + seconds(10));
  ASSERT_TRUE(world.end_error);
  EXPECT_EQ(world.end_error->kind, ErrorKind::io);
  EXPECT_NE(world.end_error->text().find("cannot listen on 127.0.0.1:7000"), std::string::npos);
}

TEST(SimTunnels, swap_their_ports) {
  TunnelWorld world(1, one_tunnel());
  ASSERT_TRUE(world.connect());
  const auto apply = [&](std::vector<tunnel::TunnelSpec> tunnels) {
    return world.client->apply_tunnels(world.world.now(),
                                       *tunnel::TunnelSet::make(std::move(tunnels)));
  };
  EXPECT_EQ(apply({spec("a", 7001), spec("b", 7002)}).added.size(), 2U);
  EXPECT_EQ(apply({spec("a", 7002), spec("b", 7001)}).changed.size(), 2U);
  for (const flow::TunnelStatus& status : world.client->tunnels()) {
    EXPECT_EQ(status.state, flow::TunnelState::listening) << status.reason;
    EXPECT_EQ(status.local_addresses.at(0), status.spec.target.text());
  }
}

TEST(SimTunnels, keep_their_flows_through_a_new_name) {
  TunnelWorld world(1, one_tunnel());
  ASSERT_TRUE(world.connect());
  Talker& caller = world.call({.seed = 5, .download_bytes = 1'000'000});
  world.world.run_until([&] { return caller.received() > 1000; }, world.world.now() + seconds(5));
  const std::string label = world.client->tunnel_set().tunnels()[0].label();
  ASSERT_TRUE(world.client->replace_tunnel(world.world.now(), label, spec("named", 7000)));
  world.world.run_until([&] { return is_over(caller); }, world.world.now() + seconds(10));
  EXPECT_EQ(caller.state(), Talker::State::finished);
  EXPECT_EQ(status_of(world, "named").counters.flows_opened, 1U);
}

TEST(SimTunnels, say_when_the_server_refuses_their_source) {
  EventList events;
  TunnelWorldConfig config = one_tunnel();
  config.allowed_tcp = {"127.0.0.0/8:9000"};
  config.client_events = &events;
  TunnelWorld world(1, config);
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(
      world.client->add_tunnel(world.world.now(), spec("forbidden", 7001, "tcp://127.0.0.1:22")));
  EXPECT_EQ(events.take_changes("forbidden"), std::vector<std::string>{"listening"});
  for (int i = 0; i < 2; ++i) {
    call(world, 7001, {.seed = 5, .download_bytes = 1000});
    world.world.run_for(seconds(2));
  }
  const flow::TunnelStatus status = status_of(world, "forbidden");
  EXPECT_EQ(status.state, flow::TunnelState::source_refused);
  EXPECT_NE(status.reason.find("not in allowed"), std::string::npos) << status.reason;
  EXPECT_EQ(status.counters.flows_refused, 2U);
  // Told once, not for each flow.
  EXPECT_EQ(events.take_changes("forbidden"),
            std::vector<std::string>{"source_refused: " + status.reason});
  EXPECT_EQ(status_of(world, "tcp://127.0.0.1:9000 -> 127.0.0.1:7000").state,
            flow::TunnelState::listening);
}

TEST(SimTunnels, say_when_a_source_is_refused_no_more) {
  EventList events;
  TunnelWorldConfig config = one_tunnel();
  config.max_flows = 1;
  config.client_events = &events;
  TunnelWorld world(1, config);
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(world.client->add_tunnel(world.world.now(), spec("second", 7001)));
  Talker& first = world.call({.seed = 5, .download_bytes = 20'000'000});  // takes the only place
  world.world.run_for(seconds(1));
  call(world, 7001, {.seed = 6, .download_bytes = 1000});
  world.world.run_for(seconds(1));
  ASSERT_FALSE(is_over(first));
  const std::string refusal = status_of(world, "second").reason;
  EXPECT_FALSE(refusal.empty());
  ASSERT_TRUE(
      world.world.run_until([&] { return is_over(first); }, world.world.now() + seconds(60)));
  call(world, 7001, {.seed = 7, .download_bytes = 1000});
  world.world.run_for(seconds(2));
  EXPECT_EQ(status_of(world, "second").state, flow::TunnelState::listening);
  EXPECT_EQ(events.take_changes("second"),
            (std::vector<std::string>{"listening", "source_refused: " + refusal, "listening"}));
}

TEST(SimTunnels, are_added_by_the_hundred_one_by_one_or_at_once) {
  TunnelWorld world(1, one_tunnel());
  ASSERT_TRUE(world.connect());
  const std::size_t already = world.listening.size();
  for (std::uint16_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(
        world.client->add_tunnel(world.world.now(), spec("t" + std::to_string(i), 10'000 + i)));
  }
  EXPECT_EQ(world.listening.size(), already + 100);
  auto more = world.client->tunnel_set().tunnels();
  for (std::uint16_t i = 100; i < 200; ++i) {
    more.push_back(spec("t" + std::to_string(i), 10'000 + i));
  }
  const auto diff =
      world.client->apply_tunnels(world.world.now(), *tunnel::TunnelSet::make(std::move(more)));
  EXPECT_EQ(diff.added.size(), 100U);
  EXPECT_EQ(diff.unchanged.size(), 101U);
  EXPECT_EQ(world.listening.size(), already + 200);
}

}  // namespace
}  // namespace culvert::sim
