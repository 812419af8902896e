#include "sim/firewall.h"

#include <gtest/gtest.h>

namespace culvert::sim {
namespace {

constexpr Instant kFirewallStart{std::chrono::seconds(1)};

SocketAddress place(const char* text) {
  return *SocketAddress::parse(text);
}

const SocketAddress kOwn = place("192.0.2.1:5000");
const SocketAddress kFriend = place("198.51.100.1:700");
const SocketAddress kFriendElsewhere = place("198.51.100.1:701");
const SocketAddress kStranger = place("198.51.100.2:700");

TEST(Firewall, lets_in_what_answers) {
  for (const PinholeScope scope : {PinholeScope::address_and_port, PinholeScope::address}) {
    Firewall firewall({.pinhole = scope});
    EXPECT_FALSE(firewall.lets_in(kFirewallStart, kFriend, kOwn));
    EXPECT_TRUE(firewall.lets_out(kFirewallStart, kOwn, kFriend));
    EXPECT_TRUE(firewall.lets_in(kFirewallStart, kFriend, kOwn));
    EXPECT_EQ(firewall.lets_in(kFirewallStart, kFriendElsewhere, kOwn),
              scope == PinholeScope::address);
    EXPECT_FALSE(firewall.lets_in(kFirewallStart, kStranger, kOwn));
    EXPECT_FALSE(firewall.lets_in(kFirewallStart, kFriend, place("192.0.2.1:5001")));
  }
}

TEST(Firewall, closes_a_pinhole_that_nothing_passes) {
  using std::chrono::seconds;
  Firewall firewall({.pinhole_timeout = seconds(30)});
  Instant now = kFirewallStart;
  EXPECT_TRUE(firewall.lets_out(now, kOwn, kFriend));
  EXPECT_TRUE(firewall.lets_in(now += seconds(25), kFriend, kOwn));
  EXPECT_TRUE(firewall.lets_in(now += seconds(25), kFriend, kOwn)) << "either direction refreshes";
  EXPECT_FALSE(firewall.lets_in(now += seconds(31), kFriend, kOwn));
  EXPECT_TRUE(firewall.lets_out(now, kOwn, kFriend));
  firewall.forget_pinholes();
  EXPECT_FALSE(firewall.lets_in(now, kFriend, kOwn));
}

TEST(Firewall, lets_everyone_in_where_a_port_is_open) {
  Firewall firewall({.open_ports = {5000}, .udp_egress = UdpEgress::none});
  EXPECT_TRUE(firewall.lets_in(kFirewallStart, kStranger, kOwn));
  EXPECT_TRUE(firewall.lets_out(kFirewallStart, kOwn, kStranger)) << "its answers";
  EXPECT_FALSE(firewall.lets_in(kFirewallStart, kStranger, place("192.0.2.1:5001")));
  EXPECT_TRUE(firewall.lets_stream_in(kOwn));
  EXPECT_FALSE(firewall.lets_stream_in(place("192.0.2.1:5001")));
}

TEST(Firewall, keeps_udp_in_but_for_listed_ports) {
  const SocketAddress dns = place("198.51.100.1:53");
  const SocketAddress quic = place("198.51.100.1:443");
  for (const UdpEgress egress : {UdpEgress::all, UdpEgress::listed_ports, UdpEgress::none}) {
    Firewall firewall({.udp_egress = egress});
    EXPECT_EQ(firewall.lets_out(kFirewallStart, kOwn, kFriend), egress == UdpEgress::all);
    EXPECT_EQ(firewall.lets_in(kFirewallStart, kFriend, kOwn), egress == UdpEgress::all);
    for (const SocketAddress& listed : {dns, quic}) {
      EXPECT_EQ(firewall.lets_out(kFirewallStart, kOwn, listed), egress != UdpEgress::none);
      EXPECT_EQ(firewall.lets_in(kFirewallStart, listed, kOwn), egress != UdpEgress::none);
    }
  }
}

}  // namespace
}  // namespace culvert::sim
