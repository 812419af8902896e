// From a command line to the options of a role, as users write it.
#include "app/ticket.h"
#include "base/limits.h"
#include "cli/client_options.h"
#include "cli/commands.h"
#include "cli/load_settings.h"
#include "cli/server_options.h"
#include "crypto/key_file.h"
#include "net/stderr_sink.h"
#include "settings/value.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <stdlib.h>

namespace culvert::cli {
namespace {

using settings::Command;

constexpr std::string_view kId = "8ae08d06eefcc0d8429cf8ba758248081eafdeda326a0348fd56340c2e6b6c25";
constexpr std::string_view kToken = "iq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6v7NA";

class OptionsTest : public testing::Test {
 protected:
  OptionsTest() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "culvert_options_XXXXXX").string();
    directory_ = ::mkdtemp(pattern.data());
  }
  ~OptionsTest() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string file(const std::string& name, std::string_view text) const {
    const auto path = directory_ / name;
    std::ofstream(path) << text;
    std::filesystem::permissions(
        path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path.string();
  }
  [[nodiscard]] std::string path(const std::string& name) const {
    return (directory_ / name).string();
  }
  Result<settings::Settings> load(Command command, const std::vector<std::string>& args) {
    const std::vector<std::string_view> views(args.begin(), args.end());
    CULVERT_TRY(const settings::Arguments arguments, settings::parse_arguments(command, views));
    return load_settings(command, arguments);
  }
  Result<app::ClientOptions> client(const std::vector<std::string>& args) {
    CULVERT_TRY(const settings::Settings loaded, load(Command::client, args));
    return client_options(loaded, log_);
  }
  Result<app::ServerOptions> server(const std::vector<std::string>& args) {
    CULVERT_TRY(const settings::Settings loaded, load(Command::server, args));
    return server_options(loaded, log_);
  }
  template <typename T>
  static void expect_error(const Result<T>& result, std::string_view part) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::configuration) << result.error().text();
    EXPECT_NE(result.error().text().find(part), std::string::npos) << result.error().text();
  }

  // What was said since it was last asked.
  [[nodiscard]] std::string said() { return std::exchange(sink_.said, {}); }

 private:
  struct Sink final : LogSink {
    void write(LogLevel, std::string_view, std::string_view line) override {
      said += std::string(line) + '\n';
    }
    std::string said;
  };

  std::filesystem::path directory_;
  Sink sink_;
  Logger log_{sink_, LogLevel::info};
};

TEST_F(OptionsTest, read_a_client_as_in_the_readme) {
  const auto options = client({"-n", std::string(kId), "--address", "server.example:4433", "-s",
                               "tcp://127.0.0.1:22", "-t", "127.0.0.1:2222", "-s", "udp://[::1]:53",
                               "-t", "localhost:5353", "--auth-token-file", file("token", kToken)});
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_EQ(options->servers[0].id.text(), kId);
  EXPECT_EQ(options->servers[0].addresses, (std::vector<HostPort>{{"server.example", 4433}}));
  ASSERT_EQ(options->tunnels.size(), 2U);
  EXPECT_EQ(options->tunnels.tunnels()[1].source.text(), "udp://[::1]:53");
  ASSERT_TRUE(options->servers[0].credentials.token);
  EXPECT_EQ(options->servers[0].credentials.token->reveal(), kToken);
}

TEST_F(OptionsTest, take_secrets_from_the_credentials_of_a_service) {
  const std::vector<std::string> args{
      "-n",       std::string(kId), "--address",         "[::1]:4433",
      "--socks5", "127.0.0.1:1080", "--auth-token-file", "credential:token"};
  expect_error(client(args), "only a systemd service");
  const std::string token = file("token", kToken);
  ::setenv("CREDENTIALS_DIRECTORY", std::filesystem::path(token).parent_path().c_str(), 1);
  const auto options = client(args);
  ::unsetenv("CREDENTIALS_DIRECTORY");
  ASSERT_TRUE(options) << options.error().text();
  ASSERT_TRUE(options->servers[0].credentials.token);
  EXPECT_EQ(options->servers[0].credentials.token->reveal(), kToken);
}

TEST_F(OptionsTest, take_addresses_from_a_ticket) {
  const app::Ticket ticket{.id = crypto::EndpointId::parse(kId).value(),
                           .addresses = {SocketAddress::parse("192.0.2.1:4433").value()}};
  for (const char* flag : {"-n", "--ticket"}) {
    const auto options = client({flag, ticket.text(), "--socks5", "127.0.0.1:1080"});
    ASSERT_TRUE(options) << options.error().text();
    EXPECT_EQ(options->servers[0].id, ticket.id);
    EXPECT_EQ(options->servers[0].addresses, (std::vector<HostPort>{{"192.0.2.1", 4433}}));
  }
  expect_error(client({"-n", std::string(64, 'a'), "--ticket", ticket.text(), "-W", "h:1"}),
               "another EndpointId");
}

TEST_F(OptionsTest, say_what_a_client_misses_or_mistypes) {
  const std::string id(kId);
  expect_error(client({}), "which server?");
  expect_error(client({"-n", "short", "-W", "h:1"}), "-n");
  expect_error(client({"-n", id}), "nothing to do");
  expect_error(client({"-n", id, "-s", "tcp://h:1"}), "--target");
  expect_error(client({"-n", id, "-s", "h:1", "-t", "127.0.0.1:1"}), "tcp://");
  expect_error(client({"-n", id, "-s", "tcp://h:1", "-t", "example.com:1"}),
               "address of this machine");
  expect_error(client({"-n", id, "-W", "udp://h:1"}), "stream");
  expect_error(client({"-n", id, "-W", "h:1", "--address", "h:0"}), "--address");
  expect_error(client({"-n", id, "-W", "h:1", "--auth-token-file", "/nonexistent"}),
               "/nonexistent");
  expect_error(client({"-n", id, "-W", "h:1", "--auth-token-file", file("empty", "# none\n")}),
               "no token");
  expect_error(client({"-n", id, "-W", "h:1", "--dialect", "mf4"}), "--auth-token-file");
  expect_error(client({"-n", id, "-W", "h:1", "--mtu", "100"}), "1200");
}

TEST_F(OptionsTest, read_a_server_from_a_file_and_flags_win) {
  const std::string config = file(
      "server.toml", "[iroh]\nmax_sessions = 7\nallowed_sources = { tcp = [\"10.0.0.0/8\"] }\n");
  const auto options = server({"-c", config, "--auth-tokens-file", file("tokens", kToken),
                               "--max-sessions", "9", "--listen", "127.0.0.1:0"});
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_EQ(options->policy.max_sessions, 9U);
  EXPECT_EQ(options->policy.auth.tokens.size(), 1U);
  EXPECT_EQ(options->policy.sources.tcp.text(), "[10.0.0.0/8]");
  EXPECT_EQ(options->bind.text(), "127.0.0.1:0");
}

TEST_F(OptionsTest, say_what_a_server_misses_or_mistypes) {
  const std::string tokens = file("tokens", kToken);
  expect_error(server({"--allowed-tcp", "10.0.0.0/8"}), "--auth-tokens-file");
  expect_error(server({"--auth-tokens-file", tokens}), "--allowed-tcp");
  expect_error(server({"--auth-tokens-file", tokens, "--allowed-tcp", "10.0.0.1/8"}), "10.0.0.0/8");
  expect_error(server({"--auth-tokens-file", file("bad", "ishort\n"), "--allowed-tcp", "::1"}),
               "bad:1");
  expect_error(
      server({"--authorized-keys-file", file("keys", "ssh-rsa AAAA\n"), "--allowed-tcp", "::1"}),
      "ssh-keygen -t ed25519");
  expect_error(server({"--auth-tokens-file", tokens, "--allowed-tcp", "::1", "--listen", "4433"}),
               "--listen: a host is missing");
  expect_error(server({"--auth-tokens-file", tokens, "--allowed-tcp", "::1", "--secret-file",
                       file("key", "no key")}),
               "not a secret key");
  expect_error(server({"-c", "/nonexistent.toml"}), "/nonexistent.toml");
  expect_error(server({"-c", file("a.toml", "[iroh.allowed_sources]\ntpc = []\n")}),
               "allowed_sources.tcp");
  expect_error(server({"-c", file("b.toml", "[iroh]\nauth_tokens = [\"x\"]\n")}), "auth_tokens");
}

TEST_F(OptionsTest, read_the_limits_on_failed_authentication) {
  const std::string config = file("server.toml",
                                  "[iroh]\nmax_token_auth_failures = 3\n"
                                  "token_lockout_duration = \"2m\"\naudit_log = \"audit\"\n");
  const auto options = server({"-c", config, "--insecure-allow-anyone", "--allowed-tcp", "::1",
                               "--global-auth-failure-threshold", "0"});
  ASSERT_TRUE(options) << options.error().text();
  const session::AuthLimits& limits = options->auth_limits;
  EXPECT_EQ(limits.max_credential_failures, 3U);
  EXPECT_EQ(limits.max_address_failures, 8U);
  EXPECT_EQ(limits.lockout, std::chrono::minutes(2));
  EXPECT_EQ(limits.global_failures, 0U);
  EXPECT_EQ(limits.global_window, std::chrono::seconds(10));
  EXPECT_EQ(limits.global_lockout, std::chrono::seconds(60));
  EXPECT_EQ(limits.log_sample_interval, 100U);
  EXPECT_EQ(options->audit_log, path("audit"));
  expect_error(
      server({"--insecure-allow-anyone", "--allowed-tcp", "::1", "--token-lockout-duration", "0"}),
      "--token-lockout-duration");
}

TEST_F(OptionsTest, read_several_servers_of_a_client) {
  const std::string key = file("token", kToken);
  const std::string config = file("client.toml", fmt::format(R"(
    [iroh]
    auth_token_file = "{}"
    [[servers]]
    name = "home"
    endpoint_id = "{}"
    addresses = ["home.example:1"]
    [[servers.tunnels]]
    name = "db"
    source = "tcp://db:1"
    target = "127.0.0.1:1"
    [[servers]]
    name = "work"
    server_node_id = "{}"
    addresses = ["work.example:2"]
    dialect = "mf4"
  )",
                                                             key, kId, kId));
  const auto options = client({"-c", config});
  ASSERT_TRUE(options) << options.error().text();
  ASSERT_EQ(options->servers.size(), 2U);
  EXPECT_EQ(options->servers[0].name, "home");
  EXPECT_EQ(options->servers[0].credentials.token->reveal(), kToken);
  EXPECT_EQ(options->servers[1].addresses, (std::vector<HostPort>{{"work.example", 2}}));
  EXPECT_EQ(options->servers[1].dialect, session::Dialect::mf_4);
  ASSERT_EQ(options->tunnels.size(), 1U);
  EXPECT_EQ(options->tunnels.tunnels()[0].server, "home");

  const std::string twice = file("twice.toml", R"(
    [[servers]]
    name = "home"
    [[servers]]
    name = "work"
  )");
  const auto nowhere = client({"-c", twice});
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().text().find("servers 'home'"), std::string::npos)
      << nowhere.error().text();
}

TEST_F(OptionsTest, exclude_interface_takes_names_and_patterns) {
  const std::vector<std::string> base{"-n",          std::string(kId), "--address",
                                      "192.0.2.1:1", "--socks5",       "localhost:1080"};
  const auto with = [&](std::vector<std::string> more) {
    std::vector<std::string> args = base;
    args.insert(args.end(), more.begin(), more.end());
    return client(args);
  };
  EXPECT_TRUE(with({})->interfaces.excluded.empty());
  EXPECT_FALSE(with({})->interfaces.trusts_all);
  const auto two = with({"--exclude-interface", "wlan0", "--exclude-interface", "eth*"});
  ASSERT_TRUE(two) << two.error().text();
  EXPECT_EQ(two->interfaces.excluded, (std::vector<std::string>{"wlan0", "eth*"}));
  const auto none = with({"--exclude-interface", "none"});
  EXPECT_TRUE(none->interfaces.trusts_all);
  EXPECT_TRUE(none->interfaces.excluded.empty());
  for (const char* wrong : {"e*h", "a/b", "a b", "sixteen-letters-", "**"}) {
    expect_error(with({"--exclude-interface", wrong}), wrong);
  }
  std::vector<std::string> many;
  for (std::size_t i = 0; i <= limits::kMaxExcludedInterfaces; ++i) {
    many.insert(many.end(), {"--exclude-interface", "eth" + std::to_string(i)});
  }
  expect_error(with(many), "--exclude-interface");
}

TEST_F(OptionsTest, ports_alone_localhost_and_every_address_are_places_to_listen) {
  const std::vector<std::string> base{"-n", std::string(kId),    "--address", "192.0.2.1:1",
                                      "-s", "tcp://h:8000-8009", "-t",        "9000-9009"};
  for (const auto& [text, count] :
       {std::pair("localhost:1080", 2U), std::pair("1080", 2U), std::pair("*:1080", 2U),
        std::pair("[::]:1080", 2U), std::pair("127.0.0.1:1080", 1U)}) {
    std::vector<std::string> args = base;
    args.insert(args.end(), {"--socks5", text, "--metrics-listen", text});
    const auto options = client(args);
    ASSERT_TRUE(options) << options.error().text();
    EXPECT_EQ(options->servers[0].socks5->addresses().size(), count) << text;
    EXPECT_EQ(options->control.metrics.size(), count) << text;
    EXPECT_EQ(options->tunnels.tunnels()[0].target.port_count, 10);
  }
  for (const char* wrong : {"unix:/tmp/x", "1080-1081"}) {
    std::vector<std::string> args = base;
    args.insert(args.end(), {"--socks5", wrong});
    expect_error(client(args), wrong);
  }
}

TEST(TunnelsSet, turns_keys_and_values_into_a_change) {
  const std::vector<std::string> operands{"source=tcp://db:1?x=1", "enabled=off",
                                          "udp_idle_timeout=1500ms", "name="};
  EXPECT_EQ(body_of_change(operands).value_or(""), R"({"source":"tcp://db:1?x=1","enabled":false,)"
                                                   R"("udp_idle_timeout_seconds":1.5,"name":""})");
  EXPECT_EQ(body_of_change(std::vector<std::string>{"udp_idle_timeout="}).value_or(""),
            R"({"udp_idle_timeout_seconds":null})");
  for (const char* wrong :
       {"source", "sorce=tcp://db:1", "enabled=perhaps", "udp_idle_timeout=x", "=", ""}) {
    const auto body = body_of_change(std::vector<std::string>{wrong});
    ASSERT_FALSE(body) << wrong;
    EXPECT_EQ(body.error().offender, wrong);
  }
}

TEST_F(OptionsTest, read_how_much_may_wait) {
  const auto options =
      client({"-n", std::string(kId), "--address", "server.example:4433", "-s",
              "tcp://127.0.0.1:22", "-t", "127.0.0.1:2222", "--auth-token-file",
              file("token", kToken), "--session-buffer", "8", "--total-buffer", "16"});
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_EQ(options->transport.session_buffer_bytes, std::size_t{8} << 20);
  ASSERT_NE(options->transport.process_buffers, nullptr);
  EXPECT_EQ(options->transport.process_buffers->free_bytes(), 16 << 20);
  expect_error(client({"-n", std::string(kId), "--session-buffer", "0"}), "session-buffer");
}

TEST_F(OptionsTest, server_speaks_the_dialects_it_is_told) {
  using session::Dialect;
  const auto dialects = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args{"--insecure-allow-anyone", "--allowed-tcp", "::1"};
    args.insert(args.end(), more.begin(), more.end());
    return server(args);
  };
  EXPECT_EQ(dialects({})->dialects, (std::vector{Dialect::culvert_1, Dialect::mf_4}));
  EXPECT_EQ(dialects({"--dialects", "culvert"})->dialects, std::vector{Dialect::culvert_1});
  EXPECT_EQ(dialects({"--dialects", "mf4"})->dialects, std::vector{Dialect::mf_4});
  EXPECT_EQ(dialects({"--dialects", "mf4,culvert"})->dialects,
            (std::vector{Dialect::culvert_1, Dialect::mf_4}));
  expect_error(dialects({"--dialects", "mf5"}), "--dialects: 'mf5' is not possible: culvert, mf4");
  expect_error(dialects({"--dialects", "culvert,"}), "with commas between");
  EXPECT_EQ(dialects({"--max-sessions-per-credential", "7"})->policy.max_sessions_per_credential,
            7U);
  EXPECT_EQ(dialects({})->policy.max_sessions_per_credential, 0U);
}

// The words of the table are those of the enumerations that they stand for.
template <typename Enum>
void expect_words_of(settings::Id id, std::set<std::string_view> none = {}) {
  const auto possible = settings::choices(settings::setting(id));
  const std::set<std::string_view> listed(possible.begin(), possible.end());
  none.insert(kWords<Enum>.begin(), kWords<Enum>.end());
  EXPECT_EQ(listed, none) << settings::setting(id).flag;
}

TEST(Choices, have_the_words_of_their_enumerations) {
  using settings::Id;
  std::set<Id> tried;
  const auto try_one = [&]<typename Enum>(Enum, Id id, std::set<std::string_view> none = {}) {
    expect_words_of<Enum>(id, std::move(none));
    tried.insert(id);
  };
  try_one(Multipath{}, Id::multipath);
  try_one(session::Dialect{}, Id::dialect);
  try_one(session::Dialect{}, Id::dialects);
  try_one(quic::CongestionControl{}, Id::congestion_controller);
  try_one(quic::ProtectionBackend{}, Id::packet_protection, {"auto"});
  try_one(net::LogFormat{}, Id::log_format);
  for (const settings::Setting& setting : settings::table()) {
    const bool is_choice =
        setting.type == settings::Type::choice || setting.type == settings::Type::choices;
    EXPECT_EQ(tried.contains(setting.id), is_choice) << setting.flag;
  }
}

TEST_F(OptionsTest, choose_as_the_words_say) {
  const std::vector<std::string> base{"-n", std::string(kId), "--address", "h:1", "-W", "h:1"};
  const auto with = [&](const std::string& flag, const std::string& word) {
    std::vector<std::string> args = base;
    args.insert(args.end(), {flag, word});
    return client(args);
  };
  EXPECT_EQ(with("--congestion-controller", "cubic")->transport.congestion_control,
            quic::CongestionControl::cubic);
  EXPECT_EQ(with("--congestion-controller", "bbr")->transport.congestion_control,
            quic::CongestionControl::bbr);
  EXPECT_EQ(with("--packet-protection", "gnutls")->protection, quic::ProtectionBackend::gnutls);
  EXPECT_EQ(with("--packet-protection", "auto")->protection, std::nullopt);
  EXPECT_EQ(with("--multipath", "redundant")->policy.multipath, Multipath::redundant);
  EXPECT_EQ(with("--mtu", "0")->transport.fixed_udp_payload_size, 0);
  EXPECT_EQ(with("--mtu", "1200")->transport.fixed_udp_payload_size, 1'200);
  expect_error(with("--mtu", "1199"),
               "--mtu: 1199 is out of range: 1200 to 65527 is possible, or 0: discovery");
}

TEST_F(OptionsTest, let_anyone_in_only_by_name) {
  const auto options = server({"--insecure-allow-anyone", "--allowed-udp", "127.0.0.1:53"});
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_TRUE(options->policy.auth.allows_anyone);
}

TEST_F(OptionsTest, take_ids_and_tickets_as_they_are_copied) {
  const auto id = crypto::EndpointId::parse(kId).value();
  const app::Ticket ticket{.id = id, .addresses = {SocketAddress::parse("192.0.2.1:4433").value()}};
  const std::string openssh = crypto::openssh_text(id);
  const std::string tunnel_rs = crypto::tunnel_rs_text(id);
  const std::string shown = fmt::format(
      "EndpointId: {}\nauthorized_keys: {}\nauthorized_keys: {}\n", kId, openssh, tunnel_rs);
  for (const std::string& form :
       {std::string(kId), fmt::format(" {}\r\n", kId), fmt::format("EndpointId: {}", kId), shown,
        openssh, openssh + " me@home", "authorized_keys: " + openssh, tunnel_rs,
        "authorized_keys: " + tunnel_rs, "\n" + ticket.text() + " \n"}) {
    const auto options = client({"-n", form, "--address", "h:1", "-W", "h:1"});
    ASSERT_TRUE(options) << form << ": " << options.error().text();
    EXPECT_EQ(options->servers[0].id, id) << form;
  }
  const auto options = client({"--ticket", "\t" + ticket.text() + "\r\n", "-W", "h:1"});
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_EQ(options->servers[0].id, id);
  expect_error(client({"-n", "EndpointId:", "--address", "h:1", "-W", "h:1"}), "EndpointId");
  expect_error(client({"-n", "ssh-ed25519 AAAA", "--address", "h:1", "-W", "h:1"}), "-n");
}

TEST_F(OptionsTest, take_files_with_a_byte_order_mark) {
  const std::string mark = "\xef\xbb\xbf";
  const std::string token = file("token", fmt::format("{}{}\n", mark, kToken));
  const std::string config =
      file("client.toml",
           fmt::format("{}[iroh]\nserver_node_id = \"{}\"\naddresses = [\"h:1\"]\n", mark, kId));
  const auto options = client({"-c", config, "--auth-token-file", token, "-W", "h:1"});
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_EQ(options->servers[0].credentials.token->reveal(), kToken);
  const std::string authorized = file("authorized", fmt::format("{}{} a comment\n", mark, kId));
  const auto lets_in = server({"--authorized-keys-file", authorized, "--allowed-tcp", "::1"});
  ASSERT_TRUE(lets_in) << lets_in.error().text();
  EXPECT_EQ(lets_in->policy.auth.keys.size(), 1U);
  const std::string key = file("key", fmt::format("{}{}\n", mark, std::string(64, '1')));
  EXPECT_TRUE(
      client({"-n", std::string(kId), "--address", "h:1", "-W", "h:1", "--private-key-file", key}));
}

TEST_F(OptionsTest, take_file_names_of_a_configuration_relative_to_it) {
  const std::string config =
      file("client.toml", fmt::format("[iroh]\nserver_node_id = \"{}\"\naddresses = [\"h:1\"]\n"
                                      "auth_token_file = \"work.token\"\n[[iroh.tunnels]]\n"
                                      "source = \"tcp://h:1\"\ntarget = \"unix:local.sock\"\n",
                                      kId));
  static_cast<void>(file("work.token", kToken));
  const auto options = client({"-c", config});
  ASSERT_TRUE(options) << options.error().text();
  EXPECT_EQ(options->servers[0].credentials.token->reveal(), kToken);
  EXPECT_EQ(options->tunnels.tunnels()[0].target.path, path("local.sock"));
}

TEST_F(OptionsTest, warn_of_secrets_that_others_may_read) {
  const std::string token = file("token", kToken);
  const std::vector<std::string> as_client{"-n",  std::string(kId),    "--address", "h:1", "-W",
                                           "h:1", "--auth-token-file", token};
  const std::vector<std::string> as_server{
      "--auth-tokens-file", token,
      "--allowed-tcp",      "::1",
      "--secret-file",      file("server.key", std::string(64, '1'))};
  EXPECT_TRUE(client(as_client));
  EXPECT_TRUE(server(as_server));
  EXPECT_EQ(said(), "");
  std::filesystem::permissions(token, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  const std::string warning = token + ": other users can read this token; chmod 600 it\n";
  EXPECT_TRUE(client(as_client));
  EXPECT_EQ(said(), warning);
  EXPECT_TRUE(server(as_server));
  EXPECT_EQ(said(), warning);
}

}  // namespace
}  // namespace culvert::cli
