#include "sim/router.h"

#include "sim/network.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

SocketAddress endpoint(const char* text) {
  return *SocketAddress::parse(text);
}

// One port of a machine: what comes in, and when.
struct Box final : PacketSink {
  Box(Network& the_network, const std::string& name, const char* at, LinkConfig link = {})
      : network(the_network),
        address(endpoint(at)),
        machine(network.add_machine(name, {address.ip}, link, link)) {
    EXPECT_TRUE(
        machine.bind_udp({IpAddress::any(address.ip.family()), address.port}, false, *this));
  }
  void deliver(Instant now, Packet packet) override {
    times.push_back(now);
    packets.push_back(std::move(packet));
  }
  void on_refused(Instant, const UdpRefusal&) override {}
  void send(const SocketAddress& to, std::size_t bytes = 100, std::uint8_t ttl = kFirstTtl,
            IpAddress from = {}) {
    machine.send({.from = {from, address.port}, .to = to, .payload = Bytes(bytes, 1), .ttl = ttl});
  }
  // Sends and waits: how many have come to `to`.
  std::size_t reach(Box& to, const SocketAddress& at, std::uint8_t ttl = kFirstTtl) {
    const std::size_t before = to.packets.size();
    send(at, 100, ttl);
    network.world().run_for(seconds(1));
    return to.packets.size() - before;
  }
  [[nodiscard]] SocketAddress last_sender() const { return packets.back().from; }

  Network& network;
  SocketAddress address;
  Machine& machine;
  std::vector<Packet> packets;
  std::vector<Instant> times;
};

struct RouterTest : testing::Test {
  World world{1};
  Network network{world};
};

TEST_F(RouterTest, takes_the_route_of_the_longest_prefix) {
  Router& router = network.add_router({.name = "r"});
  Router::Port& all = network.join(router, network.core()).first;
  Router::Port& some = network.join(router, network.core()).first;
  Router::Port& one = network.join(router, network.core()).first;
  router.add_route("10.1.0.0/16", some);
  router.add_route("0.0.0.0/0", all);
  router.add_route("10.1.2.3/32", one);
  const auto ip = [](const char* text) { return *IpAddress::parse(text); };
  EXPECT_EQ(router.route_to(ip("10.1.2.3")), &one);
  EXPECT_EQ(router.route_to(ip("10.1.2.4")), &some);
  EXPECT_EQ(router.route_to(ip("10.2.2.3")), &all);
  EXPECT_EQ(router.route_to(ip("2001:db8::1")), nullptr);
  router.add_route("10.1.2.3/32", all);
  EXPECT_EQ(router.route_to(ip("10.1.2.3")), &all);
  router.remove_route("10.1.2.3/32");
  EXPECT_EQ(router.route_to(ip("10.1.2.3")), &some);
}

// a - west - middle - east - b, and c at the middle.
struct ChainTest : RouterTest {
  ChainTest() {
    a.machine.attach(west);
    b.machine.attach(east);
    c.machine.attach(middle);
    west_link = &network.put_behind(west, middle, {"192.0.2.0/24"}, slow, slow).first;
    network.put_behind(east, middle, {"198.51.100.0/24"}, LinkConfig{.delay = milliseconds(3)},
                       LinkConfig{.delay = milliseconds(3)});
  }
  LinkConfig slow{.bits_per_second = 8'000'000,  // a byte each microsecond
                  .delay = milliseconds(10),
                  .queue_bytes = 3'000};
  Router& west = network.add_router({.name = "west", .address = *IpAddress::parse("192.0.2.254")});
  Router& middle = network.add_router(
      {.name = "middle", .address = *IpAddress::parse("203.0.113.254"), .sends_icmp = true});
  Router& east = network.add_router({.name = "east"});
  Box a{network, "a", "192.0.2.1:500"};
  Box b{network, "b", "198.51.100.1:500"};
  Box c{network, "c", "203.0.113.1:500"};
  Router::Port* west_link = nullptr;
};

TEST_F(ChainTest, adds_up_the_delays_of_the_links_and_counts_hops) {
  const Instant start = world.now();
  EXPECT_EQ(a.reach(b, b.address), 1U);
  EXPECT_EQ(b.times.back() - start, milliseconds(13) + std::chrono::microseconds(128));
  EXPECT_EQ(b.packets.back().ttl, kFirstTtl - 3);
  EXPECT_EQ(b.last_sender(), a.address);
  EXPECT_EQ(network.stats().packets, 0U) << "the core is not on the way";
  EXPECT_EQ(middle.stats().forwarded, 1U);
  EXPECT_EQ(b.reach(c, endpoint("203.0.113.99:500")), 0U);
  EXPECT_EQ(middle.stats().unroutable, 1U);
}

TEST_F(ChainTest, ends_a_loop_when_the_ttl_is_over) {
  const Network::Joint back = network.join(east, middle);
  east.add_route("198.51.100.99/32", back.first);
  EXPECT_EQ(a.reach(b, endpoint("198.51.100.99:500")), 0U);
  EXPECT_EQ(middle.stats().expired, 1U);
  // ... of which the error comes back by two.
  EXPECT_EQ(middle.stats().forwarded + east.stats().forwarded + west.stats().forwarded,
            kFirstTtl - 1U + 2U);
}

TEST_F(ChainTest, does_not_send_out_again_what_came_in_for_nobody) {
  EXPECT_EQ(a.reach(b, endpoint("198.51.100.98:500")), 0U);
  EXPECT_EQ(east.stats().unroutable, 1U);
  EXPECT_EQ(middle.stats().forwarded, 1U);
}

TEST_F(ChainTest, lets_a_packet_die_where_its_ttl_is_over) {
  EXPECT_EQ(a.reach(b, b.address, 4), 1U);
  EXPECT_EQ(a.reach(b, b.address, 3), 0U);
  EXPECT_EQ(east.stats().expired, 1U);
  EXPECT_TRUE(a.machine.icmp_errors().empty()) << "nobody asked for it";
  EXPECT_EQ(a.reach(b, b.address, 1), 0U);
  EXPECT_EQ(west.stats().expired, 1U);
  EXPECT_TRUE(a.machine.icmp_errors().empty());
  EXPECT_EQ(a.reach(b, b.address, 2), 0U);
  ASSERT_EQ(a.machine.icmp_errors().size(), 1U);
  EXPECT_EQ(a.machine.icmp_errors().front(),
            (IcmpError{.kind = IcmpError::Kind::time_exceeded, .about = b.address}));
}

TEST_F(ChainTest, drops_at_the_hop_whose_mtu_is_too_small) {
  west_link->peer_port->link->config().mtu = 1'000;  // middle to west
  b.send(a.address, 1'000 - kHeaderBytes);
  world.run_for(seconds(1));
  EXPECT_EQ(a.packets.size(), 1U);
  b.send(a.address, 1'001 - kHeaderBytes);
  c.send(b.address, 1'400);
  world.run_for(seconds(1));
  EXPECT_EQ(a.packets.size(), 1U);
  EXPECT_EQ(b.packets.size(), 1U);
  ASSERT_EQ(b.machine.icmp_errors().size(), 1U);
  EXPECT_EQ(b.machine.icmp_errors().front(),
            (IcmpError{.kind = IcmpError::Kind::too_big, .about = a.address, .mtu = 1'000}));
}

TEST_F(ChainTest, shares_a_bottleneck_between_who_passes_it) {
  constexpr std::size_t kRounds = 30;
  for (std::size_t i = 0; i < kRounds; ++i) {
    b.send(a.address, 1'000 - kHeaderBytes);
    c.send(a.address, 1'000 - kHeaderBytes);
    world.run_for(milliseconds(1));
  }
  world.run_for(seconds(1));
  // Both send as much as it takes: all but what one alone brings, and the queue, is too much.
  EXPECT_GE(a.packets.size(), kRounds);
  EXPECT_LE(a.packets.size(), kRounds + 10);
  EXPECT_EQ(west_link->peer_port->link->stats().queue_drops, 2 * kRounds - a.packets.size());
}

TEST_F(ChainTest, moves_traffic_when_a_route_changes) {
  const Network::Joint direct =
      network.join(west, east, LinkConfig{.delay = milliseconds(1)}, LinkConfig{});
  const Instant start = world.now();
  west.add_route("198.51.100.0/24", direct.first);
  EXPECT_EQ(a.reach(b, b.address), 1U);
  EXPECT_EQ(b.times.back() - start, milliseconds(1));
  EXPECT_EQ(middle.stats().forwarded, 0U);
  west.remove_route("198.51.100.0/24");
  EXPECT_EQ(a.reach(b, b.address), 1U);
  EXPECT_EQ(middle.stats().forwarded, 1U);
}

TEST_F(ChainTest, leaves_by_the_interface_whose_address_it_sends_from) {
  const IpAddress second = *IpAddress::parse("203.0.113.7");
  a.machine.add_interface(second, {.delay = milliseconds(2)}, {}, &middle);
  const Instant start = world.now();
  a.send(b.address, 100, kFirstTtl, second);
  world.run_for(seconds(1));
  ASSERT_EQ(b.packets.size(), 1U);
  EXPECT_EQ(b.times.back() - start, milliseconds(2 + 3));
  EXPECT_EQ(b.last_sender().ip, second);
  EXPECT_EQ(b.reach(a, {second, 500}), 1U);
  EXPECT_EQ(west.stats().forwarded, 0U);
}

// --- NATs and firewalls in their places --------------------------------------------------------

RouterConfig nat_router(const char* name, const char* public_ip, Hairpinning hairpinning,
                        NatBehaviour filtering = NatBehaviour::endpoint_independent) {
  return {.name = name,
          .nat = NatConfig{.public_ip = *IpAddress::parse(public_ip),
                           .filtering = filtering,
                           .ports = PortAllocation::sequential,
                           .hairpinning = hairpinning}};
}

// Two hosts of one home, and one of the neighbour, behind one carrier; a server outside.
struct NestedTest : RouterTest {
  explicit NestedTest(Hairpinning hairpinning = Hairpinning::none)
      : home(network.add_router(nat_router("home", "100.64.0.2", hairpinning))),
        neighbour(network.add_router(nat_router("neighbour", "100.64.0.3", hairpinning))),
        carrier(network.add_router(nat_router("carrier", "192.0.2.1", hairpinning))) {
    network.put_behind(home, carrier);
    network.put_behind(neighbour, carrier);
    network.put_behind(carrier, network.core());
    a.machine.attach(home);
    sibling.machine.attach(home);
    b.machine.attach(neighbour);
  }
  // Its address as the server sees it.
  SocketAddress outside_of(Box& box) {
    EXPECT_EQ(box.reach(server, server.address), 1U);
    return server.last_sender();
  }
  Router& home;
  Router& neighbour;
  Router& carrier;
  Box a{network, "a", "192.168.1.2:500"};
  Box sibling{network, "sibling", "192.168.1.3:500"};
  Box b{network, "b", "192.168.1.2:500"};  // the address of a, in another home
  Box server{network, "server", "198.51.100.1:500"};
};
struct HairpinNestedTest : NestedTest {
  HairpinNestedTest() : NestedTest(Hairpinning::external_source) {}
};

TEST_F(NestedTest, translates_twice_and_back) {
  const SocketAddress seen = outside_of(a);
  EXPECT_EQ(seen.ip.text(), "192.0.2.1");
  EXPECT_NE(outside_of(b), seen) << "equal addresses in two homes";
  EXPECT_EQ(server.reach(a, seen), 1U);
  EXPECT_EQ(a.packets.back().to, a.address);
  EXPECT_EQ(a.last_sender(), server.address);
  EXPECT_TRUE(b.packets.empty());
}

TEST_F(NestedTest, does_not_turn_back_unless_it_is_told) {
  const SocketAddress seen = outside_of(b);
  EXPECT_EQ(a.reach(b, seen), 0U);
  EXPECT_EQ(carrier.stats().filtered, 1U);
}

TEST_F(HairpinNestedTest, turns_back_at_the_nat_that_has_the_address) {
  const SocketAddress b_seen = outside_of(b);
  const SocketAddress a_seen = outside_of(a);
  EXPECT_EQ(a.reach(b, b_seen), 1U);
  EXPECT_EQ(b.last_sender(), a_seen);
  EXPECT_EQ(carrier.stats().hairpinned, 1U);
  // Two of one home by the address of the carrier: back at the carrier, in by the home's NAT.
  EXPECT_EQ(a.reach(sibling, outside_of(sibling)), 1U);
  EXPECT_EQ(sibling.last_sender(), a_seen);
  EXPECT_EQ(carrier.stats().hairpinned, 2U);
}

TEST_F(NestedTest, finds_no_inside_address_from_outside) {
  static_cast<void>(outside_of(a));
  EXPECT_EQ(server.reach(a, a.address), 0U);
  EXPECT_EQ(b.reach(a, {*IpAddress::parse("100.64.0.2"), 20'000}), 1U)
      << "a carrier's customers see each other's addresses in its network";
}

TEST_F(NestedTest, loses_its_mappings_when_it_reboots) {
  const SocketAddress before = outside_of(a);
  home.nat()->forget_mappings();
  EXPECT_EQ(server.reach(a, before), 0U);
  EXPECT_NE(outside_of(a), before);
}

// RFC 4787 9, REQ-10: an error about a packet finds its sender through both.
TEST_F(NestedTest, passes_errors_inside) {
  Router& far = network.add_router(
      {.name = "far", .address = *IpAddress::parse("203.0.113.254"), .sends_icmp = true});
  network.put_behind(far, network.core(), {"203.0.113.0/24"});
  a.send(endpoint("203.0.113.5:9"), 100, 4);
  world.run_for(seconds(1));
  ASSERT_EQ(a.machine.icmp_errors().size(), 1U);
  EXPECT_EQ(a.machine.icmp_errors().front().about, endpoint("203.0.113.5:9"));
  EXPECT_TRUE(b.machine.icmp_errors().empty());
}

// Low-TTL openers: what dies between the NATs opens this side, and is not seen by that one.
TEST_F(RouterTest, a_packet_that_dies_on_the_way_opens_its_own_nat_only) {
  RouterConfig config = nat_router("trap", "203.0.113.1", Hairpinning::none,
                                   NatBehaviour::address_and_port_dependent);
  config.nat->ports = PortAllocation::preserving;
  config.nat->is_taken_by_strangers = true;
  Router& mine = network.add_router(config);
  config.name = "other trap";
  config.nat->public_ip = *IpAddress::parse("192.0.2.1");
  Router& other = network.add_router(config);
  network.put_behind(mine, network.core());
  network.put_behind(other, network.core());
  Box a(network, "a", "10.0.0.2:500");
  Box b(network, "b", "10.0.0.2:500");
  a.machine.attach(mine);
  b.machine.attach(other);
  const SocketAddress a_seen = endpoint("203.0.113.1:500");
  const SocketAddress b_seen = endpoint("192.0.2.1:500");
  EXPECT_EQ(a.reach(b, b_seen, 2), 0U);  // past its own NAT, dead in the middle
  EXPECT_EQ(b.reach(a, a_seen), 1U) << "the port is still its own";
  EXPECT_EQ(a.last_sender(), b_seen);
  EXPECT_EQ(a.reach(b, b_seen), 1U);

  // With full TTL from both sides at once each has the other's port first, and both NATs are
  // symmetric towards each other for good.
  Box c(network, "c", "10.0.0.3:700");
  Box d(network, "d", "10.0.0.3:700");
  c.machine.attach(mine);
  d.machine.attach(other);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(c.reach(d, endpoint("192.0.2.1:700")), 0U);
    EXPECT_EQ(d.reach(c, endpoint("203.0.113.1:700")), 0U);
  }
}

TEST_F(RouterTest, a_firewall_stands_between_inside_and_outside_only) {
  Router& office = network.add_router(
      {.name = "office",
       .firewall = FirewallConfig{.open_ports = {22}, .udp_egress = UdpEgress::listed_ports}});
  network.put_behind(office, network.core(), {"192.0.2.0/24"});
  Box a(network, "a", "192.0.2.1:22");
  Box b(network, "b", "192.0.2.2:500");
  Box outside(network, "outside", "198.51.100.1:500");
  Box dns(network, "dns", "198.51.100.53:53");
  a.machine.attach(office);
  b.machine.attach(office);
  EXPECT_EQ(b.reach(a, a.address), 1U);
  EXPECT_EQ(outside.reach(a, a.address), 1U) << "an open port";
  EXPECT_EQ(a.reach(outside, outside.address), 1U);
  EXPECT_EQ(outside.reach(b, b.address), 0U);
  EXPECT_EQ(b.reach(outside, outside.address), 0U);
  EXPECT_EQ(dns.reach(b, b.address), 0U);
  EXPECT_EQ(b.reach(dns, dns.address), 1U);
  EXPECT_EQ(dns.reach(b, b.address), 1U);
  EXPECT_EQ(office.stats().blocked, 3U);
}

}  // namespace
}  // namespace culvert::sim
