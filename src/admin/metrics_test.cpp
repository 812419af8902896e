#include "admin/metrics.h"

#include "base/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

namespace culvert::admin {
namespace {

using ::testing::HasSubstr;

Snapshot snapshot() {
  Snapshot snapshot{.role = "server", .version = "1.2", .state = "serving"};
  snapshot.started_at_s = 1'800'000'000;
  snapshot.counters.sessions_accepted = 7;
  snapshot.counters.sessions_refused = 2;
  snapshot.counters.bytes_up = 1234;
  snapshot.paths = {
      {.session = 3,
       .local = "[::1]:1",
       .remote = "quote\"back\\slash\nline",
       .stats = {.smoothed_rtt = std::chrono::microseconds(1500), .packets_lost = 9}}};
  return snapshot;
}

// The text format 0.0.4, and the naming rules of prometheus.io/docs/practices/naming.
// Returns every sample's value by "name{labels}".
std::map<std::string, std::string> checked(const std::string& text) {
  static const std::regex sample(
      R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\[\\"n])*")(,([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\[\\"n])*"))*\})? (-?[0-9.]+(e[-+]?[0-9]+)?))");
  static const std::regex help_line(R"(# HELP ([a-z0-9_]+) \S.*)");
  static const std::regex type_line(R"(# TYPE ([a-z0-9_]+) (counter|gauge))");
  std::map<std::string, std::string> samples;
  std::set<std::string> families;
  std::string family;
  std::string help;
  EXPECT_TRUE(text.ends_with('\n'));
  std::istringstream lines(text);
  std::smatch match;
  for (std::string line; std::getline(lines, line);) {
    if (std::regex_match(line, match, help_line)) {
      help = match[1];
    } else if (std::regex_match(line, match, type_line)) {
      family = match[1];
      EXPECT_EQ(family, help) << "HELP precedes TYPE";
      EXPECT_TRUE(families.insert(family).second) << family << " twice";
      EXPECT_TRUE(family.starts_with("culvert_")) << family;
      EXPECT_EQ(family.ends_with("_total"), match[2] == "counter") << family;
      static const std::regex foreign_unit(
          ".*_(ms|milliseconds|us|kib|mib|kilobytes|bits)(_total)?");
      EXPECT_FALSE(std::regex_match(family, foreign_unit)) << family;
    } else if (std::regex_match(line, match, sample)) {
      EXPECT_EQ(match[1], family) << "samples follow their family";
      const std::string key = line.substr(0, line.rfind(' '));
      EXPECT_TRUE(samples.emplace(key, line.substr(line.rfind(' ') + 1)).second) << key << " twice";
    } else {
      ADD_FAILURE() << "no line of the format: " << line;
    }
  }
  EXPECT_EQ(families.size(), metrics().size());
  return samples;
}

TEST(Metrics, tell_a_clients_servers_apart) {
  Snapshot client{.role = "client", .state = "partly connected"};
  client.servers = {{.name = "home", .state = "connected", .counters = {.bytes_up = 5}},
                    {.name = "a\"b", .state = "failed"}};
  client.tunnels = {{.server = "home", .state = "listening"}};
  client.paths = {{.server = "home", .local = "l", .remote = "r", .stats = {.packets_lost = 3}}};
  const auto samples = checked(metrics_text(client, {}));
  EXPECT_EQ(samples.at("culvert_connected{server=\"home\"}"), "1");
  EXPECT_EQ(samples.at("culvert_connected{server=\"a\\\"b\"}"), "0");
  EXPECT_EQ(samples.at("culvert_flow_bytes_total{server=\"home\",direction=\"up\"}"), "5");
  EXPECT_EQ(samples.at("culvert_tunnels{server=\"home\",state=\"listening\"}"), "1");
  EXPECT_EQ(samples.at("culvert_path_lost_packets_total{server=\"home\",session=\"0\",local=\"l\","
                       "remote=\"r\"}"),
            "3");
  client.servers = {{.name = "", .state = "connected"}};
  client.state = "connected";
  EXPECT_EQ(checked(metrics_text(client, {})).at("culvert_connected"), "1");
}

TEST(Metrics, are_in_the_text_format_by_its_conventions) {
  const auto samples = checked(metrics_text(snapshot(), {.events_dropped = 5}));
  EXPECT_EQ(samples.at("culvert_build_info{version=\"1.2\",role=\"server\"}"), "1");
  EXPECT_EQ(samples.at("culvert_start_time_seconds"), "1800000000");
  EXPECT_EQ(samples.at("culvert_auth_decisions_total{decision=\"accepted\"}"), "7");
  EXPECT_EQ(samples.at("culvert_auth_decisions_total{decision=\"refused\"}"), "2");
  EXPECT_EQ(samples.at("culvert_flow_bytes_total{direction=\"up\"}"), "1234");
  EXPECT_EQ(samples.at("culvert_events_dropped_total"), "5");
  EXPECT_EQ(samples.at("culvert_paths"), "1");
}

TEST(Metrics, escape_labels_and_convert_to_base_units) {
  const std::string text = metrics_text(snapshot(), {});
  EXPECT_THAT(text, HasSubstr("culvert_path_rtt_seconds{session=\"3\",local=\"[::1]:1\","
                              "remote=\"quote\\\"back\\\\slash\\nline\"} 0.0015\n"));
}

TEST(Metrics, tell_what_became_of_credentials) {
  Snapshot server = snapshot();
  server.auth = session::AuthMetrics{.accepted = 1,
                                     .rejected_invalid = 2,
                                     .rejected_rate_limited = 3,
                                     .credential_lockouts = 4,
                                     .address_lockouts = 5,
                                     .global_lockouts = 6,
                                     .forgotten = 7,
                                     .credentials_tracked = 8,
                                     .addresses_tracked = 9,
                                     .credentials_locked = 10,
                                     .addresses_locked = 11,
                                     .global_lockout_remaining = std::chrono::milliseconds(1500)};
  const auto samples = checked(metrics_text(server, {}));
  const std::map<std::string, std::string> expected{
      {"culvert_auth_checks_total{outcome=\"accepted\"}", "1"},
      {"culvert_auth_checks_total{outcome=\"invalid\"}", "2"},
      {"culvert_auth_checks_total{outcome=\"rate_limited\"}", "3"},
      {"culvert_auth_lockouts_total{scope=\"credential\"}", "4"},
      {"culvert_auth_lockouts_total{scope=\"address\"}", "5"},
      {"culvert_auth_lockouts_total{scope=\"global\"}", "6"},
      {"culvert_auth_forgotten_total", "7"},
      {"culvert_auth_tracked{scope=\"credential\"}", "8"},
      {"culvert_auth_tracked{scope=\"address\"}", "9"},
      {"culvert_auth_locked{scope=\"credential\"}", "10"},
      {"culvert_auth_locked{scope=\"address\"}", "11"},
      {"culvert_auth_locked{scope=\"global\"}", "1"},
      {"culvert_auth_global_lockout_remaining_seconds", "1.5"}};
  for (const auto& [name, value] : expected) EXPECT_EQ(samples.at(name), value) << name;
}

TEST(Metrics, of_a_client_have_no_authentication) {
  const auto samples = checked(metrics_text({.role = "client"}, {}));
  EXPECT_FALSE(samples.contains("culvert_auth_checks_total{outcome=\"invalid\"}"));
}

TEST(Metrics, count_a_clients_tunnels_by_state) {
  Snapshot client{.role = "client", .state = "connected"};
  client.tunnels = {{.state = "listening"}, {.state = "listening"}, {.state = "failed"}};
  const auto samples = checked(metrics_text(client, {}));
  EXPECT_EQ(samples.at("culvert_connected"), "1");
  EXPECT_EQ(samples.at("culvert_tunnels{state=\"listening\"}"), "2");
  EXPECT_EQ(samples.at("culvert_tunnels{state=\"failed\"}"), "1");
  EXPECT_EQ(samples.at("culvert_tunnels{state=\"disabled\"}"), "0");
}

TEST(Metrics, bound_the_number_of_series) {
  Snapshot many = snapshot();
  for (std::uint64_t i = 0; i < 2 * limits::kMaxMetricPaths; ++i) {
    many.paths.push_back({.session = 10 + i, .local = "a", .remote = "b"});
  }
  const auto samples = checked(metrics_text(many, {}));
  EXPECT_EQ(samples.at("culvert_paths"), std::to_string(many.paths.size()));
  std::size_t series = 0;
  for (const auto& [key, value] : samples) series += key.starts_with("culvert_path_mtu_bytes{");
  EXPECT_EQ(series, limits::kMaxMetricPaths);
}

// Every name that a query of the dashboard uses is one that we export.
TEST(Dashboard, asks_for_metrics_that_exist) {
  std::ifstream file(CULVERT_REPOSITORY "/contrib/grafana/culvert.json");
  const nlohmann::json dashboard = nlohmann::json::parse(file, nullptr, false);
  ASSERT_TRUE(dashboard.is_object());
  std::set<std::string, std::less<>> known;
  for (const MetricInfo& info : metrics()) known.emplace(info.name);
  std::size_t queries = 0;
  static const std::regex name("culvert_[a-z0-9_]+");
  for (const auto& panel : dashboard.at("panels")) {
    for (const auto& target : panel.at("targets")) {
      ++queries;
      const auto query = target.at("expr").get<std::string>();
      std::sregex_iterator it(query.begin(), query.end(), name);
      ASSERT_NE(it, std::sregex_iterator()) << query;
      for (; it != std::sregex_iterator(); ++it) {
        EXPECT_TRUE(known.contains(it->str())) << it->str() << " in " << query;
      }
    }
  }
  EXPECT_GE(queries, 10U);
}

}  // namespace
}  // namespace culvert::admin
