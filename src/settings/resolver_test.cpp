#include "settings/resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace culvert::settings {
namespace {

using ::testing::HasSubstr;

Node text(std::string value) {
  return {.kind = Node::Kind::text, .text = std::move(value), .line = 3};
}
Node number(std::string value) {
  return {.kind = Node::Kind::number, .text = std::move(value), .line = 3};
}
Node flag(bool value) {
  return {.kind = Node::Kind::flag, .text = value ? "true" : "false", .line = 3};
}
Node list(std::vector<Node> items) {
  return {.kind = Node::Kind::list, .items = std::move(items), .line = 3};
}
Node table_of(std::vector<std::pair<std::string, Node>> members) {
  return {.kind = Node::Kind::table, .members = std::move(members), .line = 3};
}

struct Case {
  Command command = Command::server;
  std::vector<std::string_view> args{};
  std::map<std::string, std::string, std::less<>> environment{};
  std::optional<Node> file{};
  bool file_may_hold_secrets = false;
  std::optional<Mode> mode{};
  ModeSet available = kAvailableModes;

  [[nodiscard]] Result<Settings> resolve() const {
    const auto arguments = parse_arguments(command, args);
    EXPECT_TRUE(arguments) << arguments.error().text();
    return settings::resolve(
        command, {.arguments = &*arguments,
                  .mode = mode,
                  .available = available,
                  .environment = [this](std::string_view name) -> std::optional<std::string> {
                    const auto found = environment.find(name);
                    if (found == environment.end()) return std::nullopt;
                    return found->second;
                  },
                  .file = file ? &*file : nullptr,
                  .file_name = "server.toml",
                  .file_may_hold_secrets = file_may_hold_secrets});
  }
  [[nodiscard]] std::string error() const {
    const auto settings = resolve();
    EXPECT_FALSE(settings);
    return settings ? "" : settings.error().text();
  }
};

std::string key_of(Id id) {
  return key_of(setting(id));
}
// The file's tree for one dotted key.
Node at_key(std::string key, Node value) {
  for (std::size_t dot = key.rfind('.'); dot != std::string::npos; dot = key.rfind('.')) {
    value = table_of({{key.substr(dot + 1), std::move(value)}});
    key.resize(dot);
  }
  return table_of({{key, std::move(value)}});
}

TEST(Resolver, prefers_flag_then_environment_then_file_then_default) {
  const std::string variable(setting(Id::mtu).environment);
  Case c{.args = {"--mtu", "1300"},
         .environment = {{variable, "1400"}},
         .file = at_key(key_of(Id::mtu), number("1452"))};
  EXPECT_EQ(c.resolve()->number(Id::mtu), 1300);
  EXPECT_EQ(c.resolve()->value(Id::mtu).origin, "--mtu");
  c.args.clear();
  EXPECT_EQ(c.resolve()->number(Id::mtu), 1400);
  EXPECT_EQ(c.resolve()->value(Id::mtu).origin, variable);
  c.environment.clear();
  EXPECT_EQ(c.resolve()->number(Id::mtu), 1452);
  EXPECT_NE(c.resolve()->value(Id::mtu).origin.find("server.toml:3"), std::string::npos);
  c.file.reset();
  EXPECT_EQ(c.resolve()->number(Id::mtu), 0);
  EXPECT_FALSE(c.resolve()->has(Id::mtu));
}

TEST(Resolver, replaces_lists_and_does_not_merge_them) {
  Case c{.args = {"--allowed-tcp", "10.0.0.0/8", "--allowed-tcp", "127.0.0.1"},
         .file = at_key(key_of(Id::allowed_tcp), list({text("192.0.2.0/24")}))};
  std::vector<std::string> values;
  for (const Value& value : c.resolve()->values(Id::allowed_tcp)) values.push_back(value.text);
  EXPECT_EQ(values, (std::vector<std::string>{"10.0.0.0/8", "127.0.0.1"}));
  c.args.clear();
  ASSERT_EQ(c.resolve()->values(Id::allowed_tcp).size(), 1U);
}

TEST(Resolver, splits_lists_in_the_environment) {
  const Setting& s = setting(Id::allowed_tcp);
  Case c{.environment = {{std::string(s.environment),
                          std::string("10.0.0.0/8") + s.list_separator + "127.0.0.1"}}};
  EXPECT_EQ(c.resolve()->values(Id::allowed_tcp).size(), 2U);
  // Set but empty is as good as unset.
  c.environment = {{std::string(s.environment), ""}};
  EXPECT_TRUE(c.resolve()->values(Id::allowed_tcp).empty());
}

TEST(Resolver, names_file_line_and_key_of_what_it_cannot_take) {
  Case c{.file = at_key(key_of(Id::mtu), text("big"))};
  EXPECT_NE(c.error().find("server.toml:3"), std::string::npos) << c.error();
  c.file = at_key(key_of(Id::max_sessions), number("0"));
  EXPECT_NE(c.error().find("1 to 1000000"), std::string::npos) << c.error();
  c.file = at_key(key_of(Id::mtu), table_of({}));
  EXPECT_NE(c.error().find("server.toml:3"), std::string::npos) << c.error();
  c.file = table_of({{"mtuu", number("1300")}});
  EXPECT_NE(c.error().find("mtuu"), std::string::npos) << c.error();
  std::string mistyped = key_of(Id::allowed_tcp);
  mistyped.pop_back();
  c.file = at_key(mistyped, list({text("10.0.0.0/8")}));
  EXPECT_NE(c.error().find(key_of(Id::allowed_tcp).substr(key_of(Id::allowed_tcp).rfind('.') + 1)),
            std::string::npos)
      << c.error();
}

TEST(Resolver, takes_secrets_from_standard_input_but_not_from_a_file) {
  Case c{.command = Command::client, .file = at_key(key_of(Id::auth_token), text("iSECRET"))};
  EXPECT_EQ(c.error().find("iSECRET"), std::string::npos) << c.error();
  c.file_may_hold_secrets = true;
  EXPECT_EQ(c.resolve()->text(Id::auth_token), "iSECRET");
}

TEST(Resolver, pairs_sources_with_targets) {
  Case c{.command = Command::client,
         .args = {"-s", "tcp://a:1", "-t", ":1", "-s", "udp://b:2", "-t", ":2"}};
  const auto settings = c.resolve();
  ASSERT_TRUE(settings);
  ASSERT_EQ(settings->tunnels().size(), 2U);
  EXPECT_EQ(settings->tunnels()[1].source.text, "udp://b:2");
  EXPECT_EQ(settings->tunnels()[1].target.text, ":2");
  c.args = {"-s", "tcp://a:1"};
  EXPECT_NE(c.error().find("--target"), std::string::npos) << c.error();
  c.args = {"-t", ":1"};
  EXPECT_NE(c.error().find("--source"), std::string::npos) << c.error();
}

TEST(Resolver, reads_tunnels_of_a_file) {
  const auto file = [](Node entry) {
    return at_key(in_section(Mode::iroh, kTunnelsKey), list({std::move(entry)}));
  };
  Case c{.command = Command::client,
         .file = file(table_of({{"name", text("db")},
                                {"source", text("tcp://db:5432")},
                                {"target", text("127.0.0.1:5432")},
                                {"enabled", flag(false)}}))};
  const auto settings = c.resolve();
  ASSERT_TRUE(settings) << settings.error().text();
  ASSERT_EQ(settings->tunnels().size(), 1U);
  EXPECT_EQ(settings->tunnels()[0].name, "db");
  EXPECT_FALSE(settings->tunnels()[0].is_enabled);
  c.file = file(table_of({{"source", text("tcp://db:5432")}}));
  EXPECT_NE(c.error().find("target"), std::string::npos) << c.error();
  c.file = file(table_of({{"sorce", text("tcp://db:5432")}}));
  EXPECT_NE(c.error().find("source"), std::string::npos) << c.error();
  c.file = file(text("tcp://db:5432"));
  EXPECT_FALSE(c.error().empty());
}

TEST(Resolver, counts_and_ranges) {
  const Case c{.args = {"-v", "-v", "--drain-timeout", "2s"}};
  EXPECT_EQ(c.resolve()->count(Id::verbose), 2U);
  EXPECT_EQ(c.resolve()->duration(Id::drain_timeout), std::chrono::seconds(2));
}

// --- modes -------------------------------------------------------------------------------------

TEST(Resolver, reads_the_shared_keys_in_the_section_of_the_mode) {
  for (const std::string_view word : kWords<Mode>) {
    const std::string name(word);
    const Node tunnel = table_of({{"source", text("tcp://a:1")}, {"target", text("[::1]:1")}});
    const Node section =
        table_of({{"max_reconnect_attempts", number("3")}, {"tunnels", list({tunnel})}});
    Case c{.command = Command::client,
           .file = table_of({{name, section}, {"mode", text(name)}}),
           .available = kEveryMode};
    const auto settings = c.resolve();
    ASSERT_TRUE(settings) << settings.error().text();
    EXPECT_EQ(settings->number(Id::max_reconnect_attempts), 3);
    EXPECT_EQ(settings->value(Id::max_reconnect_attempts).origin,
              "server.toml:3: " + name + ".max_reconnect_attempts");
    EXPECT_EQ(settings->tunnels().size(), 1U);
    // The command line may say it as well.
    c.file = table_of({{name, section}});
    c.mode = value_of<Mode>(word);
    ASSERT_TRUE(c.resolve());
    EXPECT_EQ(c.resolve()->number(Id::max_reconnect_attempts), 3);
  }
}

TEST(Resolver, says_which_mode_is_active) {
  const Node section = table_of({{"max_sessions", number("3")}});
  Case c{.file = table_of({{"nostr", section}})};
  EXPECT_EQ(c.error(),
            "server.toml:3: nostr: is for mode nostr, but mode iroh is active: its settings stand "
            "in [iroh]");
  c.file = table_of({{"iroh", section}, {"mode", text("nostr")}});
  c.available = kEveryMode;
  EXPECT_THAT(c.error(), HasSubstr("is for mode iroh, but mode nostr is active"));
  c.mode = Mode::manual;
  c.file = table_of({{"mode", text("nostr")}});
  EXPECT_THAT(c.error(), HasSubstr("in mode manual"));
  // Settings that other modes do not have.
  c.file = table_of({{"manual", table_of({{"dialects", text("mf4")}})}});
  EXPECT_EQ(c.error(),
            "server.toml:3: manual.dialects: is a setting of mode iroh, but mode manual is active");
  c.file.reset();
  c.args = {"--dialects", "mf4"};
  EXPECT_EQ(c.error(), "--dialects: is a setting of mode iroh, but mode manual is active");
}

TEST(Resolver, does_not_know_modes_that_are_to_come) {
  for (const char* mode : {"nostr", "manual"}) {
    const Case c{.file = table_of({{"mode", text(mode)}})};
    EXPECT_THAT(c.error(), HasSubstr("not available yet")) << mode;
    EXPECT_THAT(c.error(), HasSubstr("server.toml:3: mode")) << mode;
    EXPECT_EQ(parse_mode(mode, mode).error().kind, ErrorKind::configuration);
  }
  const Case c{.file = table_of({{"mode", text("irhoh")}})};
  EXPECT_THAT(c.error(), HasSubstr("'irhoh' is no mode: iroh (did you mean iroh?)"));
}

// --- several servers ---------------------------------------------------------------------------

TEST(Resolver, gives_each_server_what_its_entry_says_and_the_rest_from_elsewhere) {
  const Node tunnels =
      list({table_of({{"source", text("tcp://a:1")}, {"target", text("[::1]:1")}})});
  Case c{.command = Command::client,
         .args = {"--dialect", "mf4"},
         .environment = {{"CULVERT_AUTH_TOKEN", "from the environment"}},
         .file = table_of({{"servers", list({table_of({{"name", text("home")},
                                                       {"ticket", text("t1")},
                                                       {"auth_token_file", text("own")},
                                                       {"tunnels", tunnels}}),
                                             table_of({{"name", text("work")},
                                                       {"ticket", text("t2")},
                                                       {"dialect", text("culvert")}})})}})};
  const auto settings = c.resolve();
  ASSERT_TRUE(settings) << settings.error().text();
  ASSERT_EQ(settings->servers().size(), 2U);
  const ServerEntry& home = settings->servers()[0];
  EXPECT_EQ(home.name, "home");
  EXPECT_EQ(home.settings.text(Id::ticket), "t1");
  EXPECT_EQ(home.settings.text(Id::auth_token_file), "own");
  EXPECT_FALSE(home.settings.has(Id::auth_token)) << "not to another server's secret";
  EXPECT_EQ(home.settings.text(Id::dialect), "mf4");
  EXPECT_EQ(home.settings.tunnels().size(), 1U);
  const ServerEntry& work = settings->servers()[1];
  EXPECT_EQ(work.settings.text(Id::auth_token), "from the environment");
  EXPECT_EQ(work.settings.text(Id::dialect), "culvert");
  EXPECT_TRUE(work.settings.tunnels().empty());
}

TEST(Resolver, says_what_is_wrong_with_servers) {
  const auto entry = [](std::vector<std::pair<std::string, Node>> members) {
    return table_of(std::move(members));
  };
  const auto error_of = [](Node servers, std::vector<std::string_view> args = {}) {
    const Case c{.command = Command::client,
                 .args = std::move(args),
                 .file = table_of({{"servers", std::move(servers)}})};
    return c.error();
  };
  const Node good = entry({{"name", text("a")}, {"ticket", text("t")}});
  EXPECT_THAT(error_of(text("a")), HasSubstr("[[servers]]"));
  EXPECT_THAT(error_of(list({text("a")})), HasSubstr("a table"));
  EXPECT_THAT(error_of(list({entry({{"ticket", text("t")}})})), HasSubstr("needs a name"));
  EXPECT_THAT(error_of(list({good, good})), HasSubstr("two servers are called 'a'"));
  EXPECT_THAT(error_of(list({entry({{"name", text("a")}, {"tickt", text("t")}})})),
              HasSubstr("did you mean ticket"));
  EXPECT_THAT(error_of(list({entry({{"name", text("a\x1b")}})})), HasSubstr("servers.name"));
  EXPECT_THAT(error_of(list({entry({{"name", text("a")}, {"auth_token", text("x")}})})),
              HasSubstr("secrets do not belong"));
  EXPECT_THAT(error_of(list({good}), {"--ticket", "x"}), HasSubstr("--ticket"));
  EXPECT_THAT(error_of(list({good}), {"-s", "tcp://a:1", "-t", "[::1]:1"}),
              HasSubstr("one server"));
  EXPECT_THAT(error_of(list(std::vector<Node>(33, good))), HasSubstr("called 'a'"));
}

TEST(Resolver, takes_file_names_of_a_file_relative_to_it) {
  const auto location = [](Id id, const char* key, const std::string& name) {
    const Node file = table_of({{"iroh", table_of({{key, text(name)}})}});
    const auto settings = resolve(
        Command::client,
        {.file = &file, .file_name = "/etc/culvert/client.toml", .directory = "/etc/culvert/"});
    EXPECT_TRUE(settings) << settings.error().text();
    return settings->text(id);
  };
  EXPECT_EQ(location(Id::auth_token_file, "auth_token_file", "work.token"),
            "/etc/culvert/work.token");
  EXPECT_EQ(location(Id::private_key_file, "private_key_file", "../a/key"),
            "/etc/culvert/../a/key");
  EXPECT_EQ(location(Id::auth_token_file, "auth_token_file", "/run/token"), "/run/token");
  EXPECT_EQ(location(Id::auth_token_file, "auth_token_file", "~/token"), "~/token");
  EXPECT_EQ(location(Id::auth_token_file, "auth_token_file", "-"), "-");
  EXPECT_EQ(location(Id::ticket, "ticket", "culvertabc"), "culvertabc");  // no file
}

// Whoever adds a setting of a file says so.
TEST(Resolver, knows_every_setting_that_names_a_file) {
  for (const Setting& setting : table()) {
    const bool is_named_like_one = setting.placeholder == "FILE" || setting.placeholder == "PATH";
    if (setting.key.empty() || !is_named_like_one) continue;
    EXPECT_TRUE(setting.is_path) << setting.flag;
  }
}

TEST(Resolver, takes_unix_targets_of_a_file_relative_to_it) {
  const auto target = [](const std::string& name) {
    const Node tunnel = table_of({{"source", text("tcp://127.0.0.1:1")}, {"target", text(name)}});
    const Node file = table_of({{"iroh", table_of({{"tunnels", list({tunnel})}})}});
    const auto settings =
        resolve(Command::client, {.file = &file, .file_name = "client.toml", .directory = "/srv/"});
    EXPECT_TRUE(settings) << settings.error().text();
    return settings->tunnels().front().target.text;
  };
  EXPECT_EQ(target("unix:local.sock"), "unix:/srv/local.sock");
  EXPECT_EQ(target("unix:/run/local.sock"), "unix:/run/local.sock");
  EXPECT_EQ(target("127.0.0.1:80"), "127.0.0.1:80");
}

}  // namespace
}  // namespace culvert::settings
