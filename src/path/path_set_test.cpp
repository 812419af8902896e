#include "path/path_set.h"

#include "base/limits.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace culvert::path {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint16_t kPort = 50'000;
constexpr Instant kBegin{seconds(100)};

IpAddress ip(std::string_view text) {
  return IpAddress::parse(text).value();
}
SocketAddress at(std::string_view text) {
  return SocketAddress::parse(text).value();
}
PathId from_to(std::string_view local, std::string_view remote) {
  return {.local = {ip(local), kPort}, .remote = at(remote)};
}

constexpr std::string_view kWifi = "192.0.2.1";
constexpr std::string_view kMobile = "198.51.100.1";
constexpr std::string_view kWifi6 = "2001:db8:1::1";
constexpr std::string_view kServer = "203.0.113.1:4433";
constexpr std::string_view kOtherServer = "203.0.113.2:4433";
constexpr std::string_view kServer6 = "[2001:db8:9::1]:4433";

SocketAddress stand_in(PathKind kind) {
  MappedAddresses mapped(kind);
  return mapped.map(as_bytes("peer")).value();
}

PathSet set_of(const std::vector<std::string_view>& locals,
               const std::vector<std::string_view>& remotes) {
  PathSet set;
  std::vector<Local> ours;
  for (const std::string_view local : locals) ours.push_back({ip(local)});
  set.set_locals(ours, kPort);
  for (const std::string_view remote : remotes) EXPECT_TRUE(set.offer({.remote = at(remote)}));
  return set;
}

Use primary_on(const PathId& path, Duration round_trip = milliseconds(50)) {
  return {.path = path, .role = Role::primary, .round_trip = round_trip};
}
Use joined_on(const PathId& path, Duration round_trip = milliseconds(50), bool is_silent = false) {
  return {.path = path, .role = Role::joined, .round_trip = round_trip, .is_silent = is_silent};
}

// In the order in which they would be tried, each being in use then.
std::vector<PathId> tries_of(PathSet& set, std::vector<Use> uses, Instant now = kBegin) {
  std::vector<PathId> tries;
  set.set_uses(uses);
  while (const auto next = set.next_try(now)) {
    tries.push_back(*next);
    uses.push_back({.path = *next, .role = Role::attempt});
    set.set_uses(uses);
  }
  return tries;
}

// --- which there are, and which comes next -------------------------------------------------------

struct Situation {
  std::string name;
  std::vector<std::string_view> locals{};
  std::vector<std::string_view> remotes{};
  std::vector<PathId> used{};  // the primary first
  std::vector<PathId> tries{};
};

class PathSetTries : public testing::TestWithParam<Situation> {};

TEST_P(PathSetTries, are_in_order) {
  const Situation& situation = GetParam();
  PathSet set = set_of(situation.locals, situation.remotes);
  std::vector<Use> uses;
  for (const PathId& path : situation.used) {
    uses.push_back(uses.empty() ? primary_on(path) : joined_on(path));
  }
  EXPECT_EQ(tries_of(set, uses), situation.tries);
}

INSTANTIATE_TEST_SUITE_P(
    All, PathSetTries,
    testing::Values(Situation{.name = "nothing_is_known", .locals = {kWifi}},
                    Situation{.name = "we_have_no_address", .remotes = {kServer}},
                    Situation{.name = "one_path_that_is_in_use",
                              .locals = {kWifi},
                              .remotes = {kServer},
                              .used = {from_to(kWifi, kServer)}},
                    Situation{.name = "the_other_interface",
                              .locals = {kWifi, kMobile},
                              .remotes = {kServer},
                              .used = {from_to(kWifi, kServer)},
                              .tries = {from_to(kMobile, kServer)}},
                    Situation{.name = "the_other_address_of_the_server",
                              .locals = {kWifi},
                              .remotes = {kServer, kOtherServer},
                              .used = {from_to(kWifi, kServer)},
                              .tries = {from_to(kWifi, kOtherServer)}},
                    Situation{.name = "first_what_shares_neither_end",
                              .locals = {kWifi, kMobile},
                              .remotes = {kServer, kOtherServer},
                              .used = {from_to(kWifi, kServer)},
                              .tries = {from_to(kMobile, kOtherServer), from_to(kMobile, kServer),
                                        from_to(kWifi, kOtherServer)}},
                    Situation{.name = "families_go_with_their_own",
                              .locals = {kWifi, kWifi6},
                              .remotes = {kServer, kServer6},
                              .used = {from_to(kWifi, kServer)},
                              .tries = {from_to(kWifi6, kServer6)}},
                    Situation{.name = "version_six_first_among_equals",
                              .locals = {kWifi, kWifi6},
                              .remotes = {kServer, kServer6},
                              .tries = {from_to(kWifi6, kServer6), from_to(kWifi, kServer)}},
                    Situation{
                        .name = "loopback_goes_with_loopback",
                        .locals = {kWifi, "127.0.0.1"},
                        .remotes = {kServer, "127.0.0.1:4433"},
                        .tries = {from_to(kWifi, kServer), from_to("127.0.0.1", "127.0.0.1:4433")}},
                    Situation{.name = "another_port_is_another_address",
                              .locals = {kWifi},
                              .remotes = {kServer, "203.0.113.1:4434"},
                              .used = {from_to(kWifi, kServer)},
                              .tries = {from_to(kWifi, "203.0.113.1:4434")}}),
    [](const auto& info) { return info.param.name; });

TEST(PathSet, tries_direct_paths_before_turn_before_relays) {
  PathSet set = set_of({kWifi}, {});
  const SocketAddress relay = stand_in(PathKind::relay);
  const SocketAddress turn = stand_in(PathKind::turn);
  ASSERT_TRUE(set.offer({.remote = relay, .priority = 100}));
  ASSERT_TRUE(set.offer({.remote = turn}));
  ASSERT_TRUE(set.offer({.remote = at(kServer)}));
  const SocketAddress any{IpAddress::any(Family::v6), kPort};
  EXPECT_EQ(tries_of(set, {}), (std::vector<PathId>{from_to(kWifi, kServer),
                                                    {.local = any, .remote = turn},
                                                    {.local = any, .remote = relay}}));
  set.set_locals({}, kPort);
  EXPECT_FALSE(set.has_vanished({.local = any, .remote = relay})) << "it needs no address of ours";
  EXPECT_TRUE(set.has_vanished(from_to(kWifi, kServer)));
}

TEST(PathSet, tries_what_is_said_to_be_better_first) {
  PathSet set = set_of({kWifi}, {});
  ASSERT_TRUE(set.offer({.remote = at(kServer), .priority = 1}));
  ASSERT_TRUE(set.offer({.remote = at(kOtherServer), .priority = 2}));
  EXPECT_EQ(set.next_try(kBegin), from_to(kWifi, kOtherServer));
}

TEST(PathSet, leaves_out_addresses_where_no_path_may_begin) {
  PathSet set;
  const std::vector<Local> locals{{ip(kWifi), false}, {ip(kMobile)}};
  set.set_locals(locals, kPort);
  ASSERT_TRUE(set.offer({.remote = at(kServer)}));
  EXPECT_EQ(tries_of(set, {}), std::vector{from_to(kMobile, kServer)});
  EXPECT_FALSE(set.has_vanished(from_to(kWifi, kServer)));
}

TEST(PathSet, forgets_what_is_withdrawn_but_not_a_connection_that_is_there) {
  PathSet set = set_of({kWifi}, {kServer, kOtherServer});
  set.set_uses({primary_on(from_to(kWifi, kServer))});
  set.withdraw(at(kServer));
  set.withdraw(at(kOtherServer));
  EXPECT_FALSE(set.next_try(kBegin));
  const auto report = set.report(kBegin);
  ASSERT_EQ(report.size(), 1U);
  EXPECT_EQ(report[0].state, State::carries);
  EXPECT_FALSE(report[0].origin);
}

TEST(PathSet, has_the_candidates_that_it_was_given_last) {
  PathSet set = set_of({kWifi}, {kServer, kOtherServer});
  const std::vector<Candidate> now{{.remote = at(kOtherServer), .origin = Origin::name},
                                   {.remote = at(kServer6)}};
  set.set_candidates(now);
  EXPECT_EQ(set.candidates(), now);
}

TEST(PathSet, is_bounded_whatever_others_name) {
  PathSet set = set_of({kWifi}, {kServer});
  for (std::uint16_t port = 1; port <= 1'000; ++port) {
    static_cast<void>(set.offer({.remote = {ip("203.0.113.9"), port}, .origin = Origin::peer}));
  }
  EXPECT_EQ(set.candidates().size(), limits::kMaxPathCandidates);
  EXPECT_EQ(set.left_out(), 1'001 - limits::kMaxPathCandidates);
  EXPECT_EQ(set.candidates().front().remote, at(kServer)) << "others do not displace it";
  EXPECT_EQ(set.candidates().back().remote.port, limits::kMaxPathCandidates - 1) << "first come";
  // What the user gives has its place; and so has what is said to be better.
  EXPECT_TRUE(set.offer({.remote = at(kOtherServer), .origin = Origin::given}));
  EXPECT_TRUE(set.offer({.remote = at("203.0.113.3:1"), .origin = Origin::peer, .priority = 1}));
  EXPECT_FALSE(set.offer({.remote = at("203.0.113.4:1"), .origin = Origin::discovered}));
  EXPECT_EQ(set.candidates().size(), limits::kMaxPathCandidates);
  std::vector<Local> many(1'000, Local{ip(kWifi)});
  for (std::uint32_t i = 0; i < many.size(); ++i) many[i].ip = IpAddress::v4(0x0a000001U + i);
  set.set_locals(many, kPort);
  EXPECT_LE(set.report(kBegin).size(), limits::kMaxPathCandidates * limits::kMaxPathLocals);
}

// --- when ----------------------------------------------------------------------------------------

TEST(PathSet, waits_twice_as_long_after_each_failure_up_to_a_minute) {
  PathSet set = set_of({kWifi}, {kServer});
  const PathId path = from_to(kWifi, kServer);
  Instant now = kBegin;
  for (const int pause : {2, 4, 8, 16, 32, 60, 60}) {
    ASSERT_EQ(set.next_try(now), path);
    set.on_failed(now, path, "no answer");
    EXPECT_FALSE(set.next_try(now + seconds(pause) - milliseconds(1))) << pause;
    now += seconds(pause);
  }
  set.on_failed(now, path, "no answer");
  set.on_network_changed();
  EXPECT_EQ(set.next_try(now), path);
  set.on_failed(now, path, "no answer");
  EXPECT_EQ(set.next_try(now + seconds(2)), path) << "the pauses begin anew";
}

TEST(PathSet, tries_another_path_while_one_waits) {
  PathSet set = set_of({kWifi, kMobile}, {kServer, kOtherServer});
  set.set_uses({primary_on(from_to(kWifi, kServer))});
  set.on_failed(kBegin, from_to(kMobile, kOtherServer), "no answer");
  EXPECT_EQ(set.next_try(kBegin), from_to(kMobile, kServer)) << "another interface counts for more";
}

TEST(PathSet, knows_no_failure_of_a_path_that_was_away) {
  PathSet set = set_of({kWifi}, {kServer});
  set.on_failed(kBegin, from_to(kWifi, kServer), "no answer");
  set.withdraw(at(kServer));
  set.on_failed(kBegin, from_to(kWifi, kServer), "and again");
  ASSERT_TRUE(set.offer({.remote = at(kServer)}));
  EXPECT_TRUE(set.next_try(kBegin));
}

// --- which is best -------------------------------------------------------------------------------

TEST(PathSet, goes_on_where_the_shortest_round_trip_is_that_works) {
  PathSet set;
  EXPECT_FALSE(set.best_joined());
  set.set_uses({primary_on(from_to(kWifi, kServer), milliseconds(1)),
                joined_on(from_to(kMobile, kServer), milliseconds(80)),
                joined_on(from_to(kMobile, kOtherServer), milliseconds(40)),
                joined_on(from_to(kWifi, kOtherServer), milliseconds(20), true)});
  EXPECT_EQ(set.best_joined(), from_to(kMobile, kOtherServer));
}

TEST(PathSet, prefers_version_six_a_little) {
  PathSet set;
  const PathId v4 = from_to(kWifi, kServer);
  const PathId v6 = from_to(kWifi6, kServer6);
  set.set_uses({joined_on(v4, milliseconds(20)), joined_on(v6, milliseconds(22))});
  EXPECT_EQ(set.best_joined(), v6);
  set.set_uses({joined_on(v4, milliseconds(20)), joined_on(v6, milliseconds(24))});
  EXPECT_EQ(set.best_joined(), v4);
}

TEST(PathSet, prefers_any_direct_path_to_a_relay) {
  PathSet set;
  const PathId relay{.local = {IpAddress::any(Family::v6), kPort},
                     .remote = stand_in(PathKind::relay)};
  const PathId direct = from_to(kWifi, kServer);
  set.set_uses({joined_on(relay, milliseconds(5)), joined_on(direct, milliseconds(300))});
  EXPECT_EQ(set.best_joined(), direct);
  set.set_uses({primary_on(relay, milliseconds(5)), joined_on(direct, milliseconds(300))});
  EXPECT_EQ(set.look(), direct) << "at once";
  set.set_uses({primary_on(direct, milliseconds(300)), joined_on(relay, milliseconds(5))});
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(set.look());
}

struct Figures {
  Duration own;
  Duration other;
  bool moves;
};

class PathSetMoves : public testing::TestWithParam<Figures> {};

TEST_P(PathSetMoves, where_it_is_worth_it_and_lasts) {
  const PathId own = from_to(kWifi, kServer);
  const PathId other = from_to(kMobile, kServer);
  const std::vector<Use> uses{primary_on(own, GetParam().own), joined_on(other, GetParam().other)};
  PathSet set;
  set.set_uses(uses);
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(set.look());
  // For one look it was no better.
  set.set_uses({primary_on(own, GetParam().own), joined_on(other, GetParam().own)});
  EXPECT_FALSE(set.look());
  set.set_uses(uses);
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(set.look());
  EXPECT_EQ(set.look(), GetParam().moves ? std::optional(other) : std::nullopt);
  EXPECT_FALSE(set.look()) << "it is asked once";
}

INSTANTIATE_TEST_SUITE_P(
    All, PathSetMoves,
    testing::Values(Figures{milliseconds(100), milliseconds(50), true},
                    Figures{milliseconds(100), milliseconds(74), true},
                    Figures{milliseconds(100), milliseconds(76), false},  // less than a quarter
                    Figures{milliseconds(8), milliseconds(2), true},
                    Figures{milliseconds(8), milliseconds(4), false},  // less than 5 ms
                    Figures{milliseconds(50), milliseconds(50), false},
                    Figures{milliseconds(50), milliseconds(100), false}));

TEST(PathSet, does_not_move_to_a_silent_path) {
  PathSet set;
  set.set_uses({primary_on(from_to(kWifi, kServer), milliseconds(100)),
                joined_on(from_to(kMobile, kServer), milliseconds(10), true)});
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(set.look());
}

TEST(PathSet, begins_to_count_anew_with_another_session) {
  PathSet set;
  set.set_uses({primary_on(from_to(kWifi, kServer), milliseconds(100)),
                joined_on(from_to(kMobile, kServer), milliseconds(10))});
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(set.look());
  set.begin_anew();
  EXPECT_FALSE(set.look());
}

// --- why -----------------------------------------------------------------------------------------

TEST(PathSet, tells_of_every_path_why_it_is_used_or_not) {
  PathSet set;
  const std::vector<Local> locals{{ip(kWifi)}, {ip(kMobile)}, {ip("10.0.0.1"), false}};
  set.set_locals(locals, kPort);
  ASSERT_TRUE(set.offer({.remote = at(kServer)}));
  ASSERT_TRUE(set.offer({.remote = at(kOtherServer), .origin = Origin::name}));
  set.on_failed(kBegin, from_to(kWifi, kOtherServer), "no answer");
  set.set_uses({primary_on(from_to(kWifi, kServer), milliseconds(9)),
                joined_on(from_to(kMobile, kServer), milliseconds(70), true)});
  std::vector<std::pair<PathId, State>> states;
  for (const PathReport& entry : set.report(kBegin)) states.emplace_back(entry.path, entry.state);
  EXPECT_EQ(states, (std::vector<std::pair<PathId, State>>{
                        {from_to(kWifi, kServer), State::carries},
                        {from_to(kMobile, kServer), State::silent},
                        {from_to("10.0.0.1", kServer), State::left_out},
                        {from_to(kWifi, kOtherServer), State::waits},
                        {from_to(kMobile, kOtherServer), State::spare},
                        {from_to("10.0.0.1", kOtherServer), State::left_out}}));
  const PathReport waiting = set.report(kBegin)[3];
  EXPECT_EQ(waiting.due, kBegin + seconds(2));
  EXPECT_EQ(waiting.why, "no answer");
  EXPECT_EQ(waiting.origin, Origin::name);
  EXPECT_EQ(set.report(kBegin)[0].round_trip, milliseconds(9));
  EXPECT_EQ(set.report(kBegin + seconds(2))[3].state, State::spare);
  EXPECT_EQ(word_of(State::left_out), "left out");
}

}  // namespace
}  // namespace culvert::path
