#include "sim/nat.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

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
    const SocketAddress first = *nat.translate_outbound(kNatStart, rng, kInside, kPeer);
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
    const SocketAddress outside = *nat.translate_outbound(kNatStart, rng, kInside, kPeer);
    EXPECT_EQ(nat.translate_inbound(kNatStart, kPeer, outside), kInside);
    EXPECT_EQ(nat.translate_inbound(kNatStart, kSameHost, outside).has_value(), c.admits_same_host);
    EXPECT_EQ(nat.translate_inbound(kNatStart, kOtherHost, outside).has_value(),
              c.admits_other_host);
  }
}

TEST(Nat, forgets_a_mapping_that_is_not_refreshed_from_inside) {
  SeededRng rng(1);
  Nat nat = make_nat(NatBehaviour::endpoint_independent, NatBehaviour::endpoint_independent);
  const SocketAddress outside = *nat.translate_outbound(kNatStart, rng, kInside, kPeer);
  EXPECT_TRUE(nat.translate_inbound(kNatStart + std::chrono::minutes(2), kPeer, outside));
  EXPECT_FALSE(nat.translate_inbound(kNatStart + std::chrono::minutes(3), kPeer, outside));
}

TEST(Nat, rebinds_flows_after_forgetting) {
  SeededRng rng(1);
  Nat nat = make_nat(NatBehaviour::endpoint_independent, NatBehaviour::endpoint_independent);
  const SocketAddress before = *nat.translate_outbound(kNatStart, rng, kInside, kPeer);
  nat.forget_mappings();
  EXPECT_FALSE(nat.translate_inbound(kNatStart, kPeer, before));
  EXPECT_NE(nat.translate_outbound(kNatStart, rng, kInside, kPeer), before);
}

NatConfig config_of(PortAllocation ports) {
  return {.public_ip = *IpAddress::parse("203.0.113.1"), .ports = ports};
}

SocketAddress inside(std::uint8_t host, std::uint16_t port) {
  return {IpAddress::v4(0x0a000000U + host), port};
}

// All nine kinds at once: what a mapping towards a third address means for who may answer, of both
// behaviours independently (RFC 4787 4.1, 5).
TEST(Nat, combines_each_mapping_with_each_filtering) {
  constexpr std::array kAll{NatBehaviour::endpoint_independent, NatBehaviour::address_dependent,
                            NatBehaviour::address_and_port_dependent};
  for (const NatBehaviour mapping : kAll) {
    for (const NatBehaviour filtering : kAll) {
      SeededRng rng(1);
      Nat nat = make_nat(mapping, filtering);
      const SocketAddress first = *nat.translate_outbound(kNatStart, rng, kInside, kPeer);
      const SocketAddress other = *nat.translate_outbound(kNatStart, rng, kInside, kOtherHost);
      EXPECT_EQ(first == other, mapping == NatBehaviour::endpoint_independent);
      // To the mapping of the first, who was sent to from another one, or not at all.
      EXPECT_EQ(nat.translate_inbound(kNatStart, kOtherHost, first).has_value(),
                mapping == NatBehaviour::endpoint_independent ||
                    filtering == NatBehaviour::endpoint_independent);
      EXPECT_EQ(nat.translate_inbound(kNatStart, kSameHost, first).has_value(),
                filtering != NatBehaviour::address_and_port_dependent);
      EXPECT_EQ(nat.translate_inbound(kNatStart, at("192.0.2.77:1"), first).has_value(),
                filtering == NatBehaviour::endpoint_independent);
    }
  }
}

// RFC 4787 4.2.1: port preservation, and no port overloading (REQ-3) where two hosts want the same.
TEST(Nat, preserves_ports_and_gives_none_twice) {
  SeededRng rng(1);
  Nat nat(config_of(PortAllocation::preserving));
  EXPECT_EQ(nat.translate_outbound(kNatStart, rng, inside(2, 5000), kPeer)->port, 5000);
  EXPECT_NE(nat.translate_outbound(kNatStart, rng, inside(3, 5000), kPeer)->port, 5000);
}

TEST(Nat, counts_ports_up) {
  SeededRng rng(1);
  NatConfig config = config_of(PortAllocation::sequential);
  config.mapping = NatBehaviour::address_and_port_dependent;
  Nat nat(config);
  const std::uint16_t first = nat.translate_outbound(kNatStart, rng, kInside, kPeer)->port;
  EXPECT_EQ(nat.translate_outbound(kNatStart, rng, kInside, kSameHost)->port, first + 1);
  EXPECT_EQ(nat.translate_outbound(kNatStart, rng, kInside, kOtherHost)->port, first + 2);
}

TEST(Nat, draws_ports_from_all_that_are_not_well_known) {
  SeededRng rng(1);
  Nat nat(config_of(PortAllocation::random));
  std::set<std::uint16_t> seen;
  for (std::uint16_t port = 1; port <= 400; ++port) {
    const auto outside = nat.translate_outbound(kNatStart, rng, inside(2, port), kPeer);
    ASSERT_TRUE(outside);
    EXPECT_GE(outside->port, 1024);
    seen.insert(outside->port);
  }
  EXPECT_EQ(seen.size(), 400U);
  EXPECT_GT(*seen.rbegin() - *seen.begin(), 50'000);
}

// RFC 6888 2, RFC 7422: an inside host has a range of ports, and nothing when it is used up.
TEST(Nat, gives_each_host_a_block_of_ports) {
  SeededRng rng(1);
  NatConfig config = config_of(PortAllocation::block);
  config.block_ports = 64;
  Nat nat(config);
  std::set<std::uint16_t> first;
  std::set<std::uint16_t> second;
  for (std::uint16_t port = 1; port <= 64; ++port) {
    first.insert(nat.translate_outbound(kNatStart, rng, inside(2, port), kPeer)->port);
    second.insert(nat.translate_outbound(kNatStart, rng, inside(3, port), kPeer)->port);
  }
  EXPECT_EQ(first.size(), 64U);
  EXPECT_EQ(*first.rbegin() - *first.begin(), 63);
  EXPECT_EQ(*second.rbegin() - *second.begin(), 63);
  EXPECT_TRUE(*first.rbegin() < *second.begin() || *second.rbegin() < *first.begin());
  EXPECT_FALSE(nat.translate_outbound(kNatStart, rng, inside(2, 65), kPeer));
  EXPECT_TRUE(
      nat.translate_outbound(kNatStart + std::chrono::minutes(3), rng, inside(2, 65), kPeer))
      << "those of before are over";
}

// RFC 4787 4.1, REQ-2.
TEST(Nat, pairs_addresses_of_its_pool_or_takes_any) {
  for (const bool is_paired : {true, false}) {
    SeededRng rng(1);
    NatConfig config = config_of(PortAllocation::random);
    config.pool = {*IpAddress::parse("203.0.113.2"), *IpAddress::parse("203.0.113.3")};
    config.has_paired_pool = is_paired;
    Nat nat(config);
    EXPECT_TRUE(nat.owns(config.pool.back()));
    std::set<IpAddress> of_one;
    std::set<IpAddress> of_all;
    for (std::uint16_t port = 1; port <= 30; ++port) {
      for (const std::uint8_t host : {2, 3, 4}) {
        const SocketAddress outside =
            *nat.translate_outbound(kNatStart, rng, inside(host, port), kPeer);
        EXPECT_EQ(nat.translate_inbound(kNatStart, kPeer, outside), inside(host, port));
        of_all.insert(outside.ip);
        if (host == 2) of_one.insert(outside.ip);
      }
    }
    EXPECT_EQ(of_all.size(), 3U);
    EXPECT_EQ(of_one.size(), is_paired ? 1U : 3U);
  }
}

// RFC 4787 4.3: REQ-6 has the outbound refresh; the inbound one is a NAT's choice.
TEST(Nat, keeps_a_mapping_alive_by_what_refreshes_it) {
  for (const bool is_refreshed_inbound : {false, true}) {
    SeededRng rng(1);
    NatConfig config = config_of(PortAllocation::preserving);
    config.mapping_timeout = std::chrono::seconds(30);
    config.is_refreshed_inbound = is_refreshed_inbound;
    Nat nat(config);
    Instant now = kNatStart;
    const SocketAddress outside = *nat.translate_outbound(now, rng, kInside, kPeer);
    EXPECT_TRUE(nat.translate_inbound(now += std::chrono::seconds(25), kPeer, outside));
    EXPECT_EQ(nat.translate_inbound(now += std::chrono::seconds(25), kPeer, outside).has_value(),
              is_refreshed_inbound);
    // Whom the filter keeps out refreshes nothing.
    const SocketAddress again = *nat.translate_outbound(now, rng, kInside, kPeer);
    EXPECT_FALSE(nat.translate_inbound(now += std::chrono::seconds(25), kOtherHost, again));
    EXPECT_FALSE(nat.translate_inbound(now += std::chrono::seconds(25), kPeer, again));
    const SocketAddress third = *nat.translate_outbound(now, rng, kInside, kPeer);
    EXPECT_EQ(nat.translate_outbound(now += std::chrono::seconds(25), rng, kInside, kPeer), third);
    EXPECT_TRUE(nat.translate_inbound(now += std::chrono::seconds(25), kPeer, third));
  }
}

// RFC 4787 6, REQ-9: the other inside host sees the outside address.
TEST(Nat, turns_packets_between_its_hosts_back) {
  for (const Hairpinning kind :
       {Hairpinning::none, Hairpinning::external_source, Hairpinning::internal_source}) {
    SeededRng rng(1);
    NatConfig config = config_of(PortAllocation::sequential);
    config.filtering = NatBehaviour::endpoint_independent;
    config.hairpinning = kind;
    Nat nat(config);
    const SocketAddress b = *nat.translate_outbound(kNatStart, rng, inside(3, 700), kPeer);
    const auto turned = nat.hairpin(kNatStart, rng, inside(2, 600), b);
    ASSERT_EQ(turned.has_value(), kind != Hairpinning::none);
    if (!turned) continue;
    EXPECT_EQ(turned->to, inside(3, 700));
    const SocketAddress a = *nat.translate_outbound(kNatStart, rng, inside(2, 600), kPeer);
    EXPECT_EQ(turned->from, kind == Hairpinning::external_source ? a : inside(2, 600));
  }
}

// ... and the filter holds for them as for all (RFC 4787 5).
TEST(Nat, filters_what_it_turns_back) {
  SeededRng rng(1);
  NatConfig config = config_of(PortAllocation::sequential);
  config.hairpinning = Hairpinning::external_source;
  Nat nat(config);
  const SocketAddress a = *nat.translate_outbound(kNatStart, rng, inside(2, 600), kPeer);
  const SocketAddress b = *nat.translate_outbound(kNatStart, rng, inside(3, 700), kPeer);
  EXPECT_FALSE(nat.hairpin(kNatStart, rng, inside(2, 600), b)) << "b has not sent there";
  EXPECT_FALSE(nat.hairpin(kNatStart, rng, inside(3, 700), at("203.0.113.1:9")));
  EXPECT_TRUE(nat.hairpin(kNatStart, rng, inside(2, 600), b) ||
              nat.hairpin(kNatStart, rng, inside(3, 700), a))
      << "both have sent now";
}

// The first packet of a stranger takes the port towards him: whoever sends first decides.
TEST(Nat, leaves_a_port_to_the_stranger_who_came_first) {
  for (const bool is_taken : {false, true}) {
    for (const bool sends_first : {false, true}) {
      SeededRng rng(1);
      NatConfig config = config_of(PortAllocation::preserving);
      config.is_taken_by_strangers = is_taken;
      Nat nat(config);
      const SocketAddress seen = *nat.translate_outbound(kNatStart, rng, kInside, kOtherHost);
      if (sends_first) {
        EXPECT_EQ(nat.translate_outbound(kNatStart, rng, kInside, kPeer), seen);
      }
      EXPECT_EQ(nat.translate_inbound(kNatStart, kPeer, seen).has_value(), sends_first);
      const SocketAddress towards = *nat.translate_outbound(kNatStart, rng, kInside, kPeer);
      EXPECT_EQ(towards == seen, sends_first || !is_taken);
      EXPECT_EQ(nat.translate_outbound(kNatStart, rng, kInside, kOtherHost), seen)
          << "towards others nothing has changed";
      EXPECT_EQ(nat.translate_inbound(kNatStart, kPeer, towards), kInside);
      // He is forgotten as soon as he is silent, and so is what was made for him.
      const Instant later = kNatStart + std::chrono::minutes(5);
      EXPECT_EQ(nat.translate_outbound(later, rng, kInside, kOtherHost)->port, kInside.port);
      EXPECT_EQ(nat.translate_outbound(later, rng, kInside, kPeer)->port, kInside.port);
    }
  }
}

TEST(Nat, keeps_a_stream_until_it_forgets) {
  Nat nat(config_of(PortAllocation::preserving));
  const SocketAddress outside = nat.open_stream(inside(2, 5000));
  EXPECT_EQ(nat.open_stream(inside(2, 5000)), outside);
  EXPECT_NE(nat.open_stream(inside(3, 5000)), outside);
  EXPECT_EQ(nat.stream_inside(outside), inside(2, 5000));
  EXPECT_EQ(nat.stream_outside(inside(2, 5000)), outside);
  nat.forget_mappings();
  EXPECT_FALSE(nat.stream_inside(outside) || nat.stream_outside(inside(2, 5000)));
}

}  // namespace
}  // namespace culvert::sim
