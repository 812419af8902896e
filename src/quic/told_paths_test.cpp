#include "quic/told_paths.h"

#include "base/rng.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::quic {
namespace {

constexpr std::uint16_t kOurPort = 50'000;

PathId path_between(std::uint32_t local, std::uint32_t remote) {
  return {.local = {IpAddress::v4(0x0a000000U + local), kOurPort},
          .remote = {IpAddress::v4(0xcb007100U + remote), 4433}};
}

// A connection as far as its path goes: what ngtcp2 would refuse, and what it says.
struct Migrant {
  explicit Migrant(const PathId& path) : present(path) { told.begin(path); }

  void go(const PathId& path) {
    const PathStorage before(present);
    const PathId name = told.name_of(*before.path(), path);
    EXPECT_NE(name.local, present.local) << "ngtcp2 refuses that";
    told.remember(*before.path(), path, name);
    present = name;
  }
  // As the path it is on has packets come.
  [[nodiscard]] bool is_there(const PathId& path) {
    const PathStorage storage(present);
    return told.meant_by(*storage.path()) == path && to_path_id(*told.arrival(path)) == present;
  }

  ToldPaths told;
  PathId present;
};

TEST(ToldPaths, are_what_they_are_while_only_our_address_changes) {
  Migrant migrant(path_between(1, 1));
  EXPECT_TRUE(migrant.is_there(path_between(1, 1)));
  for (std::uint32_t local = 2; local < 20; ++local) {
    migrant.go(path_between(local, 1));
    EXPECT_EQ(migrant.present, path_between(local, 1));
    EXPECT_TRUE(migrant.is_there(path_between(local, 1)));
  }
}

TEST(ToldPaths, have_another_name_for_another_address_of_the_server) {
  Migrant migrant(path_between(1, 1));
  migrant.go(path_between(1, 2));
  EXPECT_TRUE(migrant.is_there(path_between(1, 2)));
  EXPECT_EQ(migrant.present.local.ip, path_between(1, 2).local.ip);
  EXPECT_NE(migrant.present.local.port, kOurPort);
  // What still comes from where it was is told to come from there.
  EXPECT_EQ(to_path_id(*migrant.told.arrival(path_between(1, 1))), path_between(1, 1));
  migrant.go(path_between(1, 1));
  EXPECT_TRUE(migrant.is_there(path_between(1, 1)));
}

TEST(ToldPaths, lead_from_any_path_to_any_other_and_back) {
  Migrant migrant(path_between(1, 1));
  SeededRng rng(1);
  for (int i = 0; i < 10'000; ++i) {
    const PathId next = path_between(static_cast<std::uint32_t>(1 + rng.below(3)),
                                     static_cast<std::uint32_t>(1 + rng.below(4)));
    if (migrant.is_there(next)) continue;
    migrant.go(next);
    ASSERT_TRUE(migrant.is_there(next));
    ASSERT_LE(migrant.told.size(), ToldPaths::kMostKnown);
  }
}

// Tries that come to nothing leave it where it is.
TEST(ToldPaths, never_forget_the_path_in_use) {
  Migrant migrant(path_between(1, 1));
  migrant.go(path_between(1, 2));
  for (std::uint32_t remote = 3; remote < 100; ++remote) {
    const PathStorage present(migrant.present);
    const PathId tried = path_between(1, remote);
    migrant.told.remember(*present.path(), tried, migrant.told.name_of(*present.path(), tried));
    ASSERT_TRUE(migrant.is_there(path_between(1, 2))) << remote;
  }
}

TEST(ToldPaths, name_the_path_in_use_when_it_is_asked_for_again) {
  Migrant migrant(path_between(1, 1));
  migrant.go(path_between(1, 2));
  const PathStorage present(migrant.present);
  EXPECT_EQ(migrant.told.name_of(*present.path(), path_between(1, 2)), migrant.present);
}

// Behind a relay there is no address of ours; directly there is.
TEST(ToldPaths, take_any_of_our_addresses_where_none_was_told) {
  const SocketAddress any{IpAddress::any(Family::v4), kOurPort};
  const PathId relayed{.local = any, .remote = path_between(0, 9).remote};
  Migrant migrant(relayed);
  EXPECT_EQ(to_path_id(*migrant.told.arrival(path_between(5, 9))), relayed);
  EXPECT_EQ(to_path_id(*migrant.told.arrival(path_between(5, 8))), path_between(5, 8));
  migrant.go(path_between(5, 8));
  EXPECT_TRUE(migrant.is_there(path_between(5, 8)));
  migrant.go(path_between(5, 9));
  EXPECT_TRUE(migrant.is_there(path_between(5, 9))) << "that one was told";
  migrant.go(relayed);
  EXPECT_EQ(to_path_id(*migrant.told.arrival(path_between(6, 9))), relayed);
}

}  // namespace
}  // namespace culvert::quic
