#include "sim/nat.h"

#include <gtest/gtest.h>

namespace culvert::sim {
namespace {

constexpr Instant kNatStart{std::chrono::seconds(1)};

SocketAddress at(const char* text) {
  return *SocketAddress::parse(text);
}

const SocketAddress kInside = at("10.0.0.2:5000");
const SocketAddress kPeer = at("198.51.100.1:700");
const SocketAddress kSameHost = at("198.51.100.1:701");
const SocketAddress kOtherHost = at("198.51.100.2:700");

Nat make_nat(NatBehaviour mapping, NatBehaviour filtering) {
  return Nat(
      {.public_ip = *IpAddress::parse("203.0.113.1"), .mapping = mapping, .filtering = filtering});
}

// The nine kinds of RFC 4787: is the mapping reused towards (same host, other host), and
// who may answer (peer, same host other port, other host).
TEST(Nat, maps_as_each_mapping_behaviour_says) {
  struct Case {
    NatBehaviour mapping;
    bool reuses_for_same_host;
    bool reuses_for_other_host;
  };
  for (const Case& c : {Case{NatBehaviour::endpoint_independent, true, true},
                        Case{NatBehaviour::address_dependent, true, false},
                        Case{NatBehaviour::address_and_port_dependent, false, false}}) {
    SeededRng rng(1);
    Nat nat = make_nat(c.mapping, NatBehaviour::endpoint_independent);
    const SocketAddress first = nat.translate_outbound(kNatStart, rng, kInside, kPeer);
    EXPECT_EQ(first, nat.translate_outbound(kNatStart, rng, kInside, kPeer));
    EXPECT_EQ(first == nat.translate_outbound(kNatStart, rng, kInside, kSameHost),
              c.reuses_for_same_host);
    EXPECT_EQ(first == nat.translate_outbound(kNatStart, rng, kInside, kOtherHost),
              c.reuses_for_other_host);
  }
}

TEST(Nat, filters_as_each_filtering_behaviour_says) {
  struct Case {
    NatBehaviour filtering;
    bool admits_same_host;
    bool admits_other_host;
  };
  for (const Case& c : {Case{NatBehaviour::endpoint_independent, true, true},
                        Case{NatBehaviour::address_dependent, true, false},
                        Case{NatBehaviour::address_and_port_dependent, false, false}}) {
    SeededRng rng(1);
    Nat nat = make_nat(NatBehaviour::endpoint_independent, c.filtering);
    const SocketAddress outside = nat.translate_outbound(kNatStart, rng, kInside, kPeer);
    EXPECT_EQ(nat.translate_inbound(kNatStart, kPeer, outside), kInside);
    EXPECT_EQ(nat.translate_inbound(kNatStart, kSameHost, outside).has_value(), c.admits_same_host);
    EXPECT_EQ(nat.translate_inbound(kNatStart, kOtherHost, outside).has_value(),
              c.admits_other_host);
  }
}

TEST(Nat, forgets_a_mapping_that_is_not_refreshed_from_inside) {
  SeededRng rng(1);
  Nat nat = make_nat(NatBehaviour::endpoint_independent, NatBehaviour::endpoint_independent);
  const SocketAddress outside = nat.translate_outbound(kNatStart, rng, kInside, kPeer);
  EXPECT_TRUE(nat.translate_inbound(kNatStart + std::chrono::minutes(2), kPeer, outside));
  EXPECT_FALSE(nat.translate_inbound(kNatStart + std::chrono::minutes(3), kPeer, outside));
}

TEST(Nat, rebinds_flows_after_forgetting) {
  SeededRng rng(1);
  Nat nat = make_nat(NatBehaviour::endpoint_independent, NatBehaviour::endpoint_independent);
  const SocketAddress before = nat.translate_outbound(kNatStart, rng, kInside, kPeer);
  nat.forget_mappings();
  EXPECT_FALSE(nat.translate_inbound(kNatStart, kPeer, before));
  EXPECT_NE(nat.translate_outbound(kNatStart, rng, kInside, kPeer), before);
}

}  // namespace
}  // namespace culvert::sim
