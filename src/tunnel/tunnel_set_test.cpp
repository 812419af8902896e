#include "tunnel/tunnel_set.h"

#include "base/limits.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert::tunnel {
namespace {

TunnelSpec spec(std::string name, const std::string& source, const std::string& target) {
  return *TunnelSpec::make(std::move(name), *Source::parse_range(source), *Target::parse(target));
}

TunnelSpec numbered(unsigned i) {
  return spec("t" + std::to_string(i), "tcp://db:" + std::to_string(5000 + i),
              "127.0.0.1:" + std::to_string(6000 + i));
}

TunnelSet set(std::vector<TunnelSpec> tunnels) {
  auto made = TunnelSet::make(std::move(tunnels));
  EXPECT_TRUE(made) << (made ? "" : made.error().text());
  return made ? *made : TunnelSet{};
}

Error error_of(std::vector<TunnelSpec> tunnels) {
  const auto made = TunnelSet::make(std::move(tunnels));
  return made ? Error{ErrorKind::internal, "no error", {}} : made.error();
}

TEST(TunnelSet, refuses_two_of_one_name_and_says_which) {
  const Error error =
      error_of({spec("db", "tcp://a:1", "127.0.0.1:1"), spec("db", "tcp://b:1", "127.0.0.1:2")});
  EXPECT_EQ(error.kind, ErrorKind::configuration);
  EXPECT_EQ(error.text(), "db: two tunnels are called 'db'");
}

TEST(TunnelSet, keeps_what_was_added_live_when_it_is_reloaded) {
  TunnelSpec live = spec("live", "tcp://a:1", "127.0.0.1:1");
  live.is_added_live = true;
  TunnelSpec shadowed = spec("both", "tcp://a:2", "127.0.0.1:2");
  shadowed.is_added_live = true;
  const TunnelSet current = set({spec("gone", "tcp://a:3", "127.0.0.1:3"), live, shadowed});
  const TunnelSpec configured = spec("both", "tcp://b:2", "127.0.0.1:2");
  const auto reloaded = current.reloaded(set({configured}));
  ASSERT_TRUE(reloaded) << reloaded.error().text();
  EXPECT_EQ(*reloaded, set({configured, live}));

  const auto taken = current.reloaded(set({spec("new", "tcp://c:1", "127.0.0.1:1")}));
  ASSERT_FALSE(taken) << "two at one place";
  EXPECT_EQ(taken.error().offender, "live");
}

TEST(TunnelSet, knows_those_of_one_server) {
  TunnelSpec home = spec("a", "tcp://a:1", "127.0.0.1:1");
  home.server = "home";
  TunnelSpec work = spec("b", "tcp://a:1", "127.0.0.1:2");
  work.server = "work";
  const TunnelSet both = set({home, work});
  EXPECT_EQ(both.of_server("work"), set({work}));
  EXPECT_EQ(both.of_server("").size(), 0U);
  TunnelSpec moved = home;
  moved.server = "work";
  EXPECT_EQ(difference(set({home}), set({moved})).changed.size(), 1U);
}

TEST(TunnelSet, refuses_two_without_a_name_that_are_the_same) {
  const auto twin = spec("", "tcp://a:1", "127.0.0.1:0");
  EXPECT_EQ(error_of({twin, twin}).offender, "tcp://a:1 -> 127.0.0.1:0");
  EXPECT_TRUE(TunnelSet::make({twin, spec("second", "tcp://a:1", "127.0.0.1:0")}));
}

TEST(TunnelSet, refuses_two_that_would_listen_at_one_place) {
  struct Case {
    const char* source;
    const char* target;
    const char* other_source;
    const char* other_target;
    bool collide;
  };
  const Case cases[] = {
      {"tcp://a:1", "127.0.0.1:9", "tcp://b:1", "127.0.0.1:9", true},
      {"tcp://a:1", "127.0.0.1:9", "tcp://b:1", "[::1]:9", false},
      {"tcp://a:1", "localhost:9", "tcp://b:1", "[::1]:9", true},
      {"tcp://a:1", "127.0.0.1:9", "tcp://b:1", "localhost:9", true},
      {"tcp://a:1", "localhost:9", "tcp://b:1", "127.0.0.2:9", false},
      {"tcp://a:1", "127.0.0.1:9", "unix:///s", "127.0.0.1:9", true},
      {"tcp://a:1", "127.0.0.1:9", "udp://b:1", "127.0.0.1:9", false},
      {"tcp://a:1", "127.0.0.1:0", "tcp://b:1", "127.0.0.1:0", false},
      {"tcp://a:1", "unix:/s", "unix:///t", "unix:/s", true},
      {"tcp://a:1", "*:9", "tcp://b:1", "0.0.0.0:9", true},
      {"tcp://a:1", "*:9", "tcp://b:1", "[::]:9", true},
      {"tcp://a:1-5", "127.0.0.1:10-14", "tcp://b:1", "127.0.0.1:12", true},
      {"tcp://a:1-5", "127.0.0.1:10-14", "tcp://b:1", "127.0.0.1:15", false},
      {"tcp://a:1-5", "127.0.0.1:10-14", "tcp://b:1-9", "127.0.0.1:1-9", false},
      {"tcp://a:1-5", "127.0.0.1:10-14", "tcp://b:1-9", "localhost:2-10", true},
      {"tcp://a:1", "127.0.0.1:12", "tcp://b:1-9", "127.0.0.1:8-16", true},
      {"tcp://a:1-5", "127.0.0.1:10-14", "udp://b:1-5", "127.0.0.1:10-14", false},
  };
  for (const Case& c : cases) {
    const auto made = TunnelSet::make(
        {spec("one", c.source, c.target), spec("two", c.other_source, c.other_target)});
    EXPECT_EQ(made.has_value(), !c.collide) << c.target << " " << c.other_target;
    if (!made) {
      EXPECT_EQ(made.error().offender, "two");
      EXPECT_NE(made.error().what.find("'one'"), std::string::npos);
    }
    auto idle = spec("two", c.other_source, c.other_target);
    idle.is_enabled = false;
    EXPECT_TRUE(TunnelSet::make({spec("one", c.source, c.target), idle})) << "one is disabled";
  }
}

TEST(TunnelSet, is_bounded) {
  std::vector<TunnelSpec> many;
  for (unsigned i = 0; i < limits::kMaxTunnels; ++i) many.push_back(numbered(i));
  EXPECT_TRUE(TunnelSet::make(many));
  many.push_back(numbered(limits::kMaxTunnels));
  EXPECT_NE(error_of(many).what.find("more than"), std::string::npos);
  EXPECT_NE(error_of({spec(std::string(65, 'x'), "tcp://a:1", "127.0.0.1:1")}).what.find("64"),
            std::string::npos);
  EXPECT_NE(error_of({spec("a\nb", "tcp://a:1", "127.0.0.1:1")}).what.find("control"),
            std::string::npos);
}

TEST(TunnelSet, has_as_many_ports_as_a_client_may_listen_on) {
  const TunnelSpec half = spec("half", "tcp://a:1-8192", "127.0.0.1:1-8192");
  const TunnelSpec rest = spec("rest", "tcp://a:1-8192", "127.0.0.1:8193-16384");
  EXPECT_TRUE(TunnelSet::make({half, rest}));
  const Error error = error_of({half, rest, spec("more", "tcp://a:1", "127.0.0.1:20000")});
  EXPECT_EQ(error.offender, "more");
  EXPECT_NE(error.what.find("16384"), std::string::npos);
}

TEST(TunnelSet, changes_by_one_tunnel) {
  const TunnelSet two = set({numbered(1), numbered(2)});
  EXPECT_EQ(*two.with(numbered(3)), set({numbered(1), numbered(2), numbered(3)}));
  EXPECT_FALSE(two.with(numbered(2)));
  EXPECT_EQ(*two.without("t1"), set({numbered(2)}));
  EXPECT_EQ(two.without("t9").error().text(), "t9: there is no such tunnel");
  EXPECT_FALSE(two.with_enabled("t1", false)->tunnels()[0].is_enabled);
  EXPECT_EQ(*two.with_enabled("t1", false)->with_enabled("t1", true), two);
  EXPECT_EQ(*two.with_replaced("t1", numbered(3)), set({numbered(3), numbered(2)}));
  EXPECT_FALSE(two.with_replaced("t1", numbered(2)));
}

TEST(TunnelSet, names_a_tunnel_without_a_name_by_what_it_does) {
  const TunnelSet one = set({spec("", "tcp://a:1", "localhost:2")});
  EXPECT_EQ(one.without("tcp://a:1 -> localhost:2")->size(), 0U);
}

TEST(TunnelDiff, sorts_every_tunnel_into_one_list) {
  auto changed = numbered(3);
  changed.source.host_port.port = 1;
  auto tuned = numbered(4);
  tuned.options.udp_idle_timeout = std::chrono::seconds(5);
  auto disabled = numbered(5);
  disabled.is_enabled = false;
  auto renamed = numbered(6);
  renamed.name = "new name";
  const TunnelSet before =
      set({numbered(1), numbered(2), numbered(3), numbered(4), numbered(5), numbered(6)});
  const TunnelSet after = set({numbered(7), renamed, disabled, tuned, changed, numbered(1)});
  const TunnelDiff diff = difference(before, after);
  EXPECT_EQ(diff.added, std::vector<std::size_t>{0});
  EXPECT_EQ(diff.removed, std::vector<std::size_t>{1});
  EXPECT_EQ(diff.changed, (std::vector<TunnelPair>{{3, 3}, {2, 4}}));
  EXPECT_EQ(diff.switched, (std::vector<TunnelPair>{{4, 2}}));
  EXPECT_EQ(diff.renamed, (std::vector<TunnelPair>{{5, 1}}));
  EXPECT_EQ(diff.unchanged, (std::vector<TunnelPair>{{0, 5}}));
  EXPECT_EQ(diff.text(),
            "1 added, 1 removed, 2 changed, 1 switched on or off, 1 renamed, 1 unchanged");
}

TEST(TunnelDiff, of_equal_sets_is_empty) {
  const TunnelSet one = set({numbered(1), spec("", "udp://a:1", "127.0.0.1:0")});
  EXPECT_TRUE(difference(one, one).is_empty());
  EXPECT_TRUE(difference({}, {}).is_empty());
  EXPECT_EQ(difference({}, {}).text(), "none");
}

TEST(TunnelDiff, pairs_names_that_were_swapped_by_name) {
  auto one = numbered(1);
  auto two = numbered(2);
  std::swap(one.name, two.name);
  const TunnelDiff diff = difference(set({numbered(1), numbered(2)}), set({one, two}));
  EXPECT_EQ(diff.changed.size(), 2U);  // each name now does something else
}

}  // namespace
}  // namespace culvert::tunnel
