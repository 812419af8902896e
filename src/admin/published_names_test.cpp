// Names that dashboards, scripts and alerts ask for. What has been published once stays: nothing is
// taken off these lists; new names need not be added.
#include "admin/api.h"
#include "admin/metrics.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::admin {
namespace {

constexpr std::array<std::string_view, 60> kSeries{
    "culvert_build_info",
    "culvert_start_time_seconds",
    "culvert_connected",
    "culvert_auth_checks_total{outcome=\"accepted\"}",
    "culvert_auth_checks_total{outcome=\"invalid\"}",
    "culvert_auth_checks_total{outcome=\"rate_limited\"}",
    "culvert_auth_lockouts_total{scope=\"credential\"}",
    "culvert_auth_lockouts_total{scope=\"address\"}",
    "culvert_auth_lockouts_total{scope=\"global\"}",
    "culvert_auth_locked{scope=\"credential\"}",
    "culvert_auth_locked{scope=\"address\"}",
    "culvert_auth_locked{scope=\"global\"}",
    "culvert_auth_tracked{scope=\"credential\"}",
    "culvert_auth_tracked{scope=\"address\"}",
    "culvert_auth_forgotten_total",
    "culvert_auth_global_lockout_remaining_seconds",
    "culvert_audit_lines_total{outcome=\"written\"}",
    "culvert_audit_lines_total{outcome=\"lost\"}",
    "culvert_audit_lines_total{outcome=\"suppressed\"}",
    "culvert_audit_waiting_bytes",
    "culvert_audit_failing",
    "culvert_paths",
    "culvert_path_rtt_seconds",
    "culvert_path_min_rtt_seconds",
    "culvert_path_congestion_window_bytes",
    "culvert_path_mtu_bytes",
    "culvert_path_sent_bytes_total",
    "culvert_path_received_bytes_total",
    "culvert_path_sent_packets_total",
    "culvert_path_received_packets_total",
    "culvert_path_lost_packets_total",
    "culvert_event_subscribers",
    "culvert_event_subscribers_dropped_total",
    "culvert_events_dropped_total",
    "culvert_control_connections_dropped_total",
    "culvert_control_hosts_refused_total",
    "culvert_sessions",
    "culvert_sessions_suspended",
    "culvert_sessions_resumed_total",
    "culvert_reconnect_attempts_total",
    "culvert_auth_decisions_total{decision=\"accepted\"}",
    "culvert_auth_decisions_total{decision=\"refused\"}",
    "culvert_connections_accepted_total",
    "culvert_connections_refused_total",
    "culvert_retries_sent_total",
    "culvert_flows",
    "culvert_flows_opened_total",
    "culvert_flows_refused_total",
    "culvert_flows_dropped_total",
    "culvert_flows_unserved_total",
    "culvert_flow_bytes_total{direction=\"up\"}",
    "culvert_flow_bytes_total{direction=\"down\"}",
    "culvert_udp_datagrams_dropped_total",
    "culvert_packets_handed_over_total",
    "culvert_path_changes_total",
    "culvert_tunnels{state=\"disabled\"}",
    "culvert_tunnels{state=\"failed\"}",
    "culvert_tunnels{state=\"listening\"}",
    "culvert_tunnels{state=\"source_refused\"}",
    "culvert_tunnels{state=\"waiting\"}",
};

struct Published {
  std::string_view schema;
  std::vector<std::string_view> members;
};

std::vector<Published> published() {
  return {
      {"Status",
       {"role", "version", "pid", "state", "started_at", "uptime_seconds", "endpoint_id",
        "listening", "server", "servers", "counters", "authentication", "audit"}},
      {"ClientServer",
       {"name", "state", "reason", "endpoint_id", "address", "retry_in_seconds", "proxy"}},
      {"Proxy", {"target", "state", "reason", "listening"}},
      {"Counters",
       {"sessions_active", "sessions_suspended", "sessions_resumed", "reconnect_attempts",
        "sessions_accepted", "sessions_refused", "connections_accepted", "connections_refused",
        "retries_sent", "flows_active", "flows_opened", "flows_refused", "flows_dropped",
        "flows_unserved", "bytes_up", "bytes_down", "udp_dropped", "handed_over", "path_changes"}},
      {"Authentication",
       {"accepted", "invalid", "rate_limited", "credential_lockouts", "address_lockouts",
        "global_lockouts", "credentials_locked", "addresses_locked", "global_lockout_seconds"}},
      {"Audit", {"lines_written", "lines_lost", "refusals_suppressed", "bytes_waiting", "failure"}},
      {"Path",
       {"local", "remote", "state", "session", "server", "rtt_seconds", "min_rtt_seconds",
        "congestion_window_bytes", "bytes_in_flight", "bytes_sent", "bytes_received",
        "packets_sent", "packets_received", "packets_lost", "mtu_bytes"}},
      {"Session",
       {"id", "client", "comment", "address", "age_seconds", "flows", "bytes_sent",
        "bytes_received"}},
      {"Sessions", {"sessions", "active", "is_truncated"}},
      {"Tunnel",
       {"label", "name", "server", "source", "target", "state", "reason", "is_added_live",
        "listening", "udp_idle_timeout_seconds", "multipath", "retry_in_seconds", "flows_opened",
        "flows_refused", "flows_active", "bytes_up", "bytes_down"}},
  };
}

TEST(PublishedNames, are_all_among_the_metrics) {
  Snapshot server{.role = "server"};
  server.auth.emplace();
  server.audit.emplace();
  server.paths.emplace_back();
  const std::string text = metrics_text(server, {}) + metrics_text(Snapshot{.role = "client"}, {});
  for (const std::string_view series : kSeries) {
    const bool has_label = series.ends_with('}');
    const std::string line = '\n' + std::string(series);
    EXPECT_TRUE(text.find(line + ' ') != text.npos ||
                (!has_label && text.find(line + '{') != text.npos))
        << series;
  }
}

TEST(PublishedNames, are_all_among_the_members_of_answers) {
  const auto schemas = nlohmann::json::parse(openapi_json()).at("components").at("schemas");
  for (const Published& one : published()) {
    const auto& members = schemas.at(std::string(one.schema)).at("properties");
    for (const std::string_view name : one.members) {
      EXPECT_TRUE(members.contains(std::string(name))) << one.schema << '.' << name;
    }
  }
}

}  // namespace
}  // namespace culvert::admin
