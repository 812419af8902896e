#include "admin/api.h"

#include "admin/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace culvert::admin {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;

class FakeTarget final : public ControlTarget {
 public:
  FakeTarget() : logger_(sink_, LogLevel::info) {}
  void collect(Instant now, OnSnapshot done) override { done(now, snapshot); }
  void kick(Instant now, std::uint64_t session, std::string reason, OnDone done) override {
    kicked = session;
    kick_reason = std::move(reason);
    done(now, outcome);
  }
  void change_tunnel(Instant now, TunnelChange change, OnDone done) override {
    changes.push_back(std::move(change));
    done(now, outcome);
  }
  Logger& log() override { return logger_; }

  Snapshot snapshot{.role = "client", .version = "1", .state = "connected", .pid = 5};
  Status outcome;
  std::uint64_t kicked = 0;
  std::string kick_reason;
  std::vector<TunnelChange> changes;

 private:
  struct Sink final : LogSink {
    void write(LogLevel, std::string_view, std::string_view) override {}
  } sink_;
  Logger logger_;
};

class ApiTest : public ::testing::Test {
 protected:
  http::Response ask(std::string method, std::string path, std::string body = {}) {
    std::optional<http::Response> got;
    api_.handle(Instant{},
                {.method = std::move(method), .path = std::move(path), .body = std::move(body)},
                [&got](Instant, http::Response response) { got = std::move(response); });
    EXPECT_TRUE(got) << "no answer";
    return std::move(got).value_or(http::Response{.status = 0});
  }
  FakeTarget target_;
  Api api_{target_, [] { return ControlCounters{}; }};
};

TEST_F(ApiTest, serves_every_route_of_the_description_and_describes_every_route) {
  const json description = json::parse(ask("GET", "/v1/openapi.json").body);
  EXPECT_EQ(description.at("openapi"), "3.1.0");
  std::size_t described = 0;
  for (const auto& [path, methods] : description.at("paths").items()) described += methods.size();
  EXPECT_EQ(described, routes().size());
  for (const RouteInfo& route : routes()) {
    std::string method(route.method);
    std::ranges::transform(method, method.begin(), [](char c) { return c | 0x20; });
    const json& operation = description.at("paths").at(std::string(route.path)).at(method);
    EXPECT_TRUE(operation.contains("responses")) << route.path;
    std::string path(route.path);
    if (const std::size_t open = path.find('{'); open != path.npos) {
      path.replace(open, path.find('}') - open + 1, "7");
    }
    const int status = ask(std::string(route.method), path).status;
    EXPECT_NE(status, 404) << route.path;
    EXPECT_NE(status, 405) << route.path;
  }
  const std::string text = description.dump();
  const json& schemas = description.at("components").at("schemas");
  for (std::size_t at = 0; (at = text.find("#/components/schemas/", at)) != text.npos;) {
    at += 21;
    EXPECT_TRUE(schemas.contains(text.substr(at, text.find('"', at) - at)));
  }
}

TEST_F(ApiTest, has_its_description_in_the_documentation) {
  std::ifstream file(CULVERT_REPOSITORY "/docs/control-api.json");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), openapi_json())
      << "mend with: curl --unix-socket SOCKET http://culvert/v1/openapi.json "
         ">docs/control-api.json";
}

// The members of answers are those that the description names.
void expect_described(const json& answer, const std::string& schema) {
  const json all = json::parse(openapi_json());
  const json& known = all.at("components").at("schemas").at(schema).at("properties");
  for (const auto& [key, value] : answer.items())
    EXPECT_TRUE(known.contains(key)) << schema << "." << key;
}

TEST_F(ApiTest, shows_status_paths_sessions_and_tunnels) {
  const ProxyInfo proxy{.target = "localhost:1080", .state = "failed", .reason = "port in use"};
  target_.snapshot.servers = {
      {.name = "", .state = "connected", .endpoint_id = "ab", .proxy = proxy}};
  target_.snapshot.uptime = std::chrono::milliseconds(2500);
  target_.snapshot.counters.flows_opened = 4;
  target_.snapshot.auth = session::AuthMetrics{.rejected_rate_limited = 6};
  target_.snapshot.paths = {
      {.local = "a", .remote = "b", .stats = {.smoothed_rtt = std::chrono::milliseconds(20)}}};
  target_.snapshot.sessions = {{.id = 9, .client = "c", .comment = "bad \xff utf"}};
  target_.snapshot.counters.sessions_active = 2;
  target_.snapshot.tunnels = {{.label = "l",
                               .state = "failed",
                               .reason = "port in use",
                               .is_added_live = true,
                               .options = {.udp_idle_timeout = std::chrono::seconds(9)},
                               .retry_in = std::chrono::seconds(3)}};
  const json status = json::parse(ask("GET", "/v1/status").body);
  EXPECT_EQ(status.at("uptime_seconds"), 2.5);
  EXPECT_EQ(status.at("server").at("endpoint_id"), "ab");
  EXPECT_EQ(status.at("counters").at("flows_opened"), 4);
  expect_described(status, "Status");
  expect_described(status.at("servers").at(0), "ClientServer");
  expect_described(status.at("servers").at(0).at("proxy"), "Proxy");
  EXPECT_EQ(status.at("servers").at(0).at("proxy").at("reason"), "port in use");
  expect_described(status.at("counters"), "Counters");
  EXPECT_EQ(status.at("authentication").at("rate_limited"), 6);
  expect_described(status.at("authentication"), "Authentication");
  const json paths = json::parse(ask("GET", "/v1/paths").body);
  EXPECT_EQ(paths.at("paths").at(0).at("rtt_seconds"), 0.02);
  expect_described(paths.at("paths").at(0), "Path");
  const json sessions = json::parse(ask("GET", "/v1/sessions").body);
  EXPECT_EQ(sessions.at("sessions").at(0).at("id"), 9);
  EXPECT_EQ(sessions.at("is_truncated"), true);
  expect_described(sessions.at("sessions").at(0), "Session");
  const json tunnels = json::parse(ask("GET", "/v1/tunnels").body);
  EXPECT_EQ(tunnels.at("tunnels").at(0).at("reason"), "port in use");
  EXPECT_EQ(tunnels.at("tunnels").at(0).at("retry_in_seconds"), 3.0);
  expect_described(tunnels.at("tunnels").at(0), "Tunnel");
}

TEST_F(ApiTest, kicks_a_session_with_a_reason) {
  EXPECT_EQ(ask("DELETE", "/v1/sessions/12", R"({"reason":"maintenance"})").status, 204);
  EXPECT_EQ(target_.kicked, 12U);
  EXPECT_EQ(target_.kick_reason, "maintenance");
  EXPECT_EQ(ask("DELETE", "/v1/sessions/x").status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/sessions/99999999999999999999").status, 404);
  EXPECT_EQ(ask("DELETE", "/v1/sessions/1", R"({"reason":5})").status, 400);
  target_.outcome = fail(ErrorKind::not_found, "there is no such session", "13");
  const http::Response missing = ask("DELETE", "/v1/sessions/13");
  EXPECT_EQ(missing.status, 404);
  const json error = json::parse(missing.body);
  EXPECT_EQ(error.at("error"), "there is no such session");
  EXPECT_EQ(error.at("offender"), "13");
  EXPECT_FALSE(error.at("fix").get<std::string>().empty());
}

TEST_F(ApiTest, changes_tunnels) {
  EXPECT_EQ(ask("POST", "/v1/tunnels",
                R"({"source":"tcp://h:1","target":"127.0.0.1:2","name":"n","enabled":false})")
                .status,
            201);
  ASSERT_EQ(target_.changes.size(), 1U);
  EXPECT_EQ(target_.changes[0].action, TunnelAction::add);
  EXPECT_EQ(target_.changes[0].source->text(), "tcp://h:1");
  EXPECT_EQ(target_.changes[0].target->text(), "127.0.0.1:2");
  EXPECT_EQ(target_.changes[0].name, "n");
  EXPECT_EQ(target_.changes[0].is_enabled, false);

  EXPECT_EQ(ask("PATCH", "/v1/tunnels/tcp%3A%2F%2Fh", R"({"target":"[::1]:3"})").status, 204);
  EXPECT_EQ(target_.changes[1].action, TunnelAction::update);
  EXPECT_EQ(target_.changes[1].label, "tcp://h");
  EXPECT_FALSE(target_.changes[1].source);
  EXPECT_EQ(ask("POST", "/v1/tunnels/n/disable").status, 204);
  EXPECT_EQ(target_.changes[2].is_enabled, false);
  EXPECT_EQ(ask("POST", "/v1/tunnels/n/enable").status, 204);
  EXPECT_EQ(target_.changes[3].is_enabled, true);
  EXPECT_EQ(ask("DELETE", "/v1/tunnels/n").status, 204);
  EXPECT_EQ(target_.changes[4].action, TunnelAction::remove);
  EXPECT_EQ(ask("PATCH", "/v1/tunnels/n", R"({"udp_idle_timeout_seconds":1.5})").status, 204);
  tunnel::TunnelOptions options{};
  target_.changes[5].apply_options(options);
  EXPECT_EQ(options.udp_idle_timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(ask("PATCH", "/v1/tunnels/n", R"({"udp_idle_timeout_seconds":null})").status, 204);
  target_.changes[6].apply_options(options);
  EXPECT_FALSE(options.udp_idle_timeout.has_value());
  for (const char* wrong : {"0", "86401", "-1", "true", "\"5s\"", "1e400"}) {
    const auto body = std::string(R"({"udp_idle_timeout_seconds":)") + wrong + "}";
    EXPECT_EQ(ask("PATCH", "/v1/tunnels/n", body).status, 400) << wrong;
  }
  EXPECT_EQ(ask("PATCH", "/v1/tunnels/n", R"({"multipath":"redundant"})").status, 204);
  target_.changes[7].apply_options(options);
  EXPECT_EQ(options.multipath, Multipath::redundant);
  EXPECT_EQ(ask("PATCH", "/v1/tunnels/n", R"({"multipath":null})").status, 204);
  target_.changes[8].apply_options(options);
  EXPECT_FALSE(options.multipath.has_value());
  for (const char* wrong : {"1", "true", "\"both\""}) {
    const auto body = std::string(R"({"multipath":)") + wrong + "}";
    EXPECT_EQ(ask("PATCH", "/v1/tunnels/n", body).status, 400) << wrong;
  }
}

TEST_F(ApiTest, refuses_bodies_that_it_does_not_understand) {
  for (const char* body :
       {"", "[]", "{", R"({"source":"tcp://h:1"})", R"({"target":"127.0.0.1:1"})",
        R"({"source":"x","target":"127.0.0.1:1"})",
        R"({"source":"tcp://h:1","target":"127.0.0.1:1","nmae":"n"})",
        R"({"source":"tcp://h:1","target":"127.0.0.1:1","enabled":1})",
        R"({"source":5,"target":"127.0.0.1:1"})", R"([[[[[[[[[[[[1]]]]]]]]]]]])"}) {
    const http::Response response = ask("POST", "/v1/tunnels", body);
    EXPECT_EQ(response.status, 400) << body;
    EXPECT_TRUE(json::parse(response.body).contains("offender")) << body;
  }
  EXPECT_TRUE(target_.changes.empty());
}

TEST_F(ApiTest, tells_and_sets_the_log_level) {
  EXPECT_EQ(json::parse(ask("GET", "/v1/log-level").body).at("level"), "info");
  EXPECT_EQ(ask("PUT", "/v1/log-level", R"({"level":"debug"})").status, 204);
  EXPECT_EQ(target_.log().level(), LogLevel::debug);
  EXPECT_EQ(ask("PUT", "/v1/log-level", R"({"level":"loud"})").status, 400);
  EXPECT_EQ(target_.log().level(), LogLevel::debug);
}

TEST_F(ApiTest, names_what_is_not_there) {
  EXPECT_EQ(ask("GET", "/v1/nothing").status, 404);
  EXPECT_EQ(ask("GET", "/v1/status/x").status, 404);
  EXPECT_EQ(ask("GET", "").status, 404);
  const http::Response wrong = ask("POST", "/v1/log-level");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.allow, "GET, PUT");
}

TEST_F(ApiTest, lets_a_network_see_metrics_and_health_only) {
  const auto status_of = [this](std::string method, std::string path) {
    int status = 0;
    api_.handle_metrics_only(
        Instant{}, {.method = std::move(method), .path = std::move(path)},
        [&](Instant, const http::Response& response) { status = response.status; });
    return status;
  };
  EXPECT_EQ(status_of("GET", "/metrics"), 200);
  EXPECT_EQ(status_of("GET", "/healthz"), 200);
  EXPECT_EQ(status_of("PUT", "/v1/log-level"), 404);
  EXPECT_EQ(status_of("GET", "/v1/status"), 404);
  EXPECT_EQ(status_of("GET", "/v1/openapi.json"), 404);
}

TEST(EventText, is_one_event_with_one_line_of_data) {
  const std::string text = event_text({.kind = peer::RoleEventKind::session_refused,
                                       .session = 3,
                                       .peer = "p",
                                       .address = "a",
                                       .detail = "two\nlines"},
                                      1.5);
  EXPECT_TRUE(text.starts_with("event: session_refused\ndata: {"));
  EXPECT_TRUE(text.ends_with("}\n\n"));
  EXPECT_EQ(std::ranges::count(text, '\n'), 3);
  const json data = json::parse(text.substr(text.find('{')));
  EXPECT_EQ(data.at("session"), 3);
  EXPECT_EQ(data.at("detail"), "two\nlines");
}

}  // namespace
}  // namespace culvert::admin
