#include "quic/admission.h"

#include "base/limits.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::quic {
namespace {

using namespace std::chrono_literals;
using Place = Admission::Place;

// Addresses in as many /16 networks, so that nobody is of a wide network with others.
IpAddress apart(std::uint32_t number) {
  return IpAddress::v4(0x0A000000U + (number << 12));
}

struct World {
  SeededRng rng{1};
  Admission admission{rng};
  Instant now{100s};

  Admission::Verdict apply(const IpAddress& from,
                           const std::optional<Admission::TicketId>& ticket = {}) {
    return admission.apply(now, from, ticket);
  }
  // Takes all places, each from another network.
  std::vector<Place> fill() {
    std::vector<Place> places;
    for (std::uint32_t i = 0; i < limits::kMaxUnauthenticatedConnections; ++i) {
      places.push_back(*apply(apart(i)).place);
    }
    return places;
  }
};

TEST(Admission, takes_the_place_of_the_network_with_most_and_there_the_oldest) {
  World world;
  const auto greedy = apart(9'000);
  const Place first = *world.apply(greedy).place;
  static_cast<void>(world.apply(greedy));
  for (std::uint32_t i = 2; i < limits::kMaxUnauthenticatedConnections; ++i) {
    ASSERT_TRUE(world.apply(apart(i)).place);
  }
  const auto verdict = world.apply(apart(8'000));
  EXPECT_TRUE(verdict.place);
  EXPECT_EQ(verdict.displaced, first);
  EXPECT_EQ(world.admission.size(), limits::kMaxUnauthenticatedConnections);
}

TEST(Admission, one_network_never_has_more_than_its_share) {
  World world;
  std::vector<Place> places;
  for (std::size_t i = 0; i < limits::kMaxUnauthenticatedPerAddress; ++i) {
    places.push_back(*world.apply(apart(1)).place);
  }
  const auto verdict = world.apply(apart(1));
  EXPECT_TRUE(verdict.place);
  EXPECT_EQ(verdict.displaced, places[0]);
  EXPECT_EQ(world.admission.size(), limits::kMaxUnauthenticatedPerAddress);
}

TEST(Admission, coming_again_and_again_is_held_against_a_network) {
  World world;
  const auto places = world.fill();
  for (const Place place : places) world.admission.leave(place);
  world.now += 1s;
  const auto again = world.fill();  // each for the second time
  const auto verdict = world.apply(apart(9'000));
  ASSERT_TRUE(verdict.place) << "one who comes for the first time";
  EXPECT_EQ(verdict.displaced, again[0]);
  // ... and whom they cannot displace in turn.
  for (std::uint32_t i = 0; i < 1'000; ++i) {
    EXPECT_NE(world.apply(apart(i)).displaced, *verdict.place);
  }
}

TEST(Admission, among_equals_newcomers_wait_until_a_place_is_worth_nothing) {
  World world;
  const auto places = world.fill();
  EXPECT_FALSE(world.apply(apart(9'000)).place);
  world.now += limits::kPlaceWorth - 1ms;
  EXPECT_FALSE(world.apply(apart(9'000)).place);
  world.now += 1ms;
  const auto verdict = world.apply(apart(9'000));
  EXPECT_TRUE(verdict.place);
  EXPECT_EQ(verdict.displaced, places[0]);
}

TEST(Admission, what_led_to_authentication_is_held_against_nobody) {
  World world;
  const auto office = apart(9'000);
  for (int i = 0; i < 500; ++i) {
    world.admission.authenticated(world.now, *world.apply(office).place);
  }
  const auto places = world.fill();
  world.now += limits::kPlaceWorth;
  EXPECT_TRUE(world.apply(office).place);
}

TEST(Admission, nobody_begins_without_end) {
  World world;
  std::size_t begun = 0;
  const auto hammer = [&](Duration length) {
    for (const Instant end = world.now + length; world.now < end; world.now += 1ms) {
      if (const auto verdict = world.apply(apart(1)); verdict.place) ++begun;
    }
  };
  hammer(1s);
  EXPECT_GE(begun, static_cast<std::size_t>(limits::kMaxBeginnings) - 1);
  EXPECT_LE(begun, 80U);
  begun = 0;
  hammer(20s);
  EXPECT_LE(begun, 12U * 20);
  EXPECT_TRUE(world.apply(apart(2)).place) << "another network";
  world.now += 20s;
  EXPECT_TRUE(world.apply(apart(1)).place);
}

TEST(Admission, networks_of_one_wider_network_count_together) {
  World world;
  std::vector<Place> rotating;
  const std::size_t many = limits::kMaxUnauthenticatedConnections / 2;
  for (std::uint32_t i = 0; i < many; ++i) {  // a new /64 each time
    const auto from = IpAddress::v6({0x20, 1, 0xd, 0xb8, 0, 1, static_cast<std::uint8_t>(i >> 8),
                                     static_cast<std::uint8_t>(i), 0, 0, 0, 0, 0, 0, 0, 1});
    rotating.push_back(*world.apply(from).place);
  }
  for (std::uint32_t i = 0; world.admission.size() < limits::kMaxUnauthenticatedConnections; ++i) {
    ASSERT_TRUE(world.apply(apart(i)).place);
  }
  const auto verdict = world.apply(apart(9'000));
  ASSERT_TRUE(verdict.displaced);
  EXPECT_EQ(verdict.displaced, rotating[0]);
}

TEST(Admission, clients_that_were_let_in_before_have_places_of_their_own) {
  World world;
  const auto home = apart(9'000);
  world.admission.authenticated(world.now, *world.apply(home).place);
  const auto places = world.fill();
  EXPECT_FALSE(world.apply(apart(9'001)).place);
  const auto proven = world.apply(home);
  EXPECT_TRUE(proven.place);
  EXPECT_FALSE(proven.displaced);
  const auto with_ticket = world.apply(apart(9'001), Admission::TicketId{1});
  EXPECT_TRUE(with_ticket.place);
  EXPECT_FALSE(with_ticket.displaced);
  world.now += limits::kProvenNetworkMemory;
  for (const Place place : places) world.admission.leave(place);
  static_cast<void>(world.fill());
  EXPECT_FALSE(world.apply(home).place) << "too long ago";
}

TEST(Admission, one_ticket_does_not_take_the_places_of_all_tickets) {
  World world;
  for (int i = 0; i < 1'000; ++i) static_cast<void>(world.apply(apart(1), Admission::TicketId{1}));
  // Where it finds no place there it is one of all others.
  constexpr std::size_t kMost =
      limits::kMaxReturningConnections + limits::kMaxUnauthenticatedPerAddress;
  EXPECT_LE(world.admission.size(), kMost);
  for (std::uint8_t i = 2; i < 60; ++i) {
    EXPECT_TRUE(world.apply(apart(1), Admission::TicketId{i}).place);
  }
  EXPECT_LE(world.admission.size(), kMost);
}

TEST(Admission, who_closes_already_goes_first) {
  World world;
  const auto places = world.fill();
  world.admission.set_over(places[200]);
  const auto verdict = world.apply(apart(9'000));
  EXPECT_TRUE(verdict.place);
  EXPECT_EQ(verdict.displaced, places[200]);
}

TEST(Admission, remembers_a_bounded_number_of_networks) {
  World world;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    const auto verdict = world.apply(IpAddress::v4(i << 8));
    if (verdict.place && i % 2 == 0) world.admission.authenticated(world.now, *verdict.place);
    if (verdict.place && i % 2 == 1) world.admission.leave(*verdict.place);
    ASSERT_LE(world.admission.networks(), limits::kMaxNetworksRemembered + 2);
  }
}

}  // namespace
}  // namespace culvert::quic
