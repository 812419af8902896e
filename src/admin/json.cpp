#include "admin/json.h"

#include "base/limits.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <initializer_list>
#include <variant>

namespace culvert::admin {
namespace {

using Json = nlohmann::ordered_json;

// Of a request's body: a few levels, so that nesting cannot exhaust the stack.
constexpr int kMaxDepth = 8;
constexpr const char* kUdpIdleTimeout = "udp_idle_timeout_seconds";
constexpr std::size_t kMaxReasonBytes = limits::kReasonBytes;

std::string dumped(const Json& json) {
  // Text from outside may not be UTF-8: replace rather than throw.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

template <typename Owner>
void add_numbers(Json& json, const Owner& owner, CountedBy role = CountedBy::both) {
  for (const CounterRow<Owner>& row : counter_rows<Owner>()) {
    const bool is_of_role = role == CountedBy::both || row.by == CountedBy::both || row.by == role;
    if (row.name.empty() || !is_of_role) continue;
    std::visit([&](auto number) { json[std::string(row.name)] = number; }, row.field.read(owner));
  }
}

template <typename Owner>
Json numbers(const Owner& owner, CountedBy role = CountedBy::both) {
  Json json = Json::object();
  add_numbers(json, owner, role);
  return json;
}

Json server_of(const ServerInfo& server) {
  return {{"endpoint_id", server.endpoint_id}, {"address", server.address}};
}

// One JSON object whose members are among `known`.
Result<nlohmann::json> parse_object(std::string_view body,
                                    std::initializer_list<std::string_view> known) {
  bool is_too_deep = false;
  const nlohmann::json::parser_callback_t bound_depth =
      [&is_too_deep](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
        is_too_deep |= depth > kMaxDepth;
        return !is_too_deep;
      };
  nlohmann::json json = nlohmann::json::parse(body, bound_depth, false);
  if (is_too_deep || !json.is_object()) {
    return fail(ErrorKind::configuration, "is not one JSON object", "body");
  }
  for (const auto& [key, value] : json.items()) {
    bool is_known = false;
    std::string names;
    for (const std::string_view name : known) {
      is_known = is_known || key == name;
      names += (names.empty() ? "" : ", ") + std::string(name);
    }
    if (!is_known) {
      return fail(ErrorKind::configuration, "no such member; there are: " + names,
                  key.substr(0, limits::kMaxTunnelNameBytes));
    }
  }
  return json;
}

Result<std::optional<std::string>> text_member(const nlohmann::json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return std::nullopt;
  if (!found->is_string()) return fail(ErrorKind::configuration, "must be a string", name);
  return found->get<std::string>();
}

// As --udp-idle-timeout in range; null: none of its own.
Result<std::optional<Multipath>> parse_multipath(const nlohmann::json& value) {
  if (value.is_null()) return std::nullopt;
  const auto mode =
      value.is_string() ? value_of<Multipath>(value.get<std::string>()) : std::nullopt;
  if (!mode) {
    return fail(ErrorKind::configuration, "must be fastest, aggregate, redundant or null",
                "multipath");
  }
  return mode;
}

Result<std::optional<Duration>> parse_udp_idle_timeout(const nlohmann::json& value) {
  if (value.is_null()) return std::nullopt;
  constexpr double kMost = 24.0 * 3600;
  const double number = value.is_number() ? value.get<double>() : 0;
  if (number < 1 || number > kMost) {
    return fail(ErrorKind::configuration, "must be null or a number of seconds from 1 to 86400",
                kUdpIdleTimeout);
  }
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(number));
}

}  // namespace

http::Response error_response(int status, std::string_view error, std::string_view offender,
                              std::string_view fix) {
  return {.status = status,
          .body = dumped(Json{{"error", error}, {"offender", offender}, {"fix", fix}})};
}

http::Response error_response(const Error& error) {
  switch (error.kind) {
    case ErrorKind::configuration:
      return error_response(400, error.what, error.offender,
                            "mend what 'offender' names; /v1/openapi.json describes requests");
    case ErrorKind::not_found:
      return error_response(404, error.what, error.offender,
                            "GET /v1/tunnels and /v1/sessions list what there is");
    case ErrorKind::refused:
      return error_response(409, error.what, error.offender, "GET /v1/status tells the state");
    case ErrorKind::limit:
      return error_response(429, error.what, error.offender, "try again in a moment");
    default:
      return error_response(500, error.what, error.offender, "the log may tell more");
  }
}

std::string status_json(const Snapshot& snapshot) {
  Json json{{"role", snapshot.role},
            {"version", snapshot.version},
            {"pid", snapshot.pid},
            {"state", snapshot.state},
            {"started_at", snapshot.started_at_s},
            {"uptime_seconds", in_seconds(snapshot.uptime)},
            {"endpoint_id", snapshot.endpoint_id},
            {"listening", snapshot.listening}};
  if (snapshot.role == "client") {
    if (snapshot.servers.size() == 1) json["server"] = server_of(snapshot.servers.front());
    json["servers"] = Json::array();
    for (const ServerInfo& server : snapshot.servers) {
      Json one{{"name", server.name}, {"state", server.state}, {"reason", server.reason}};
      one.update(server_of(server));
      if (server.retry_in) one["retry_in_seconds"] = in_seconds(*server.retry_in);
      if (server.proxy) {
        one["proxy"] = {{"target", server.proxy->target},
                        {"state", server.proxy->state},
                        {"reason", server.proxy->reason},
                        {"listening", server.proxy->local_addresses}};
      }
      json["servers"].push_back(std::move(one));
    }
  }
  json["counters"] =
      numbers(snapshot.counters, snapshot.role == "server" ? CountedBy::server : CountedBy::client);
  if (snapshot.auth) json["authentication"] = numbers(*snapshot.auth);
  if (snapshot.audit) {
    json["audit"] = numbers(*snapshot.audit);
    json["audit"]["failure"] = snapshot.audit->failure;
  }
  return dumped(json);
}

std::string paths_json(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const PathInfo& path : snapshot.paths) {
    Json json{{"local", path.local}, {"remote", path.remote}, {"state", path.state}};
    add_numbers(json, path.stats);
    if (path.session != 0) json["session"] = path.session;
    if (!path.server.empty()) json["server"] = path.server;
    list.push_back(std::move(json));
  }
  Json json;
  json["paths"] = std::move(list);
  return dumped(json);
}

std::string sessions_json(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const SessionInfo& session : snapshot.sessions) {
    Json json{{"id", session.id},
              {"client", session.client},
              {"comment", session.comment},
              {"address", session.address},
              {"age_seconds", in_seconds(session.age)}};
    add_numbers(json, session.counters);
    list.push_back(std::move(json));
  }
  const bool is_cut = snapshot.counters.sessions_active > snapshot.sessions.size();
  return dumped(Json{{"sessions", std::move(list)},
                     {"active", snapshot.counters.sessions_active},
                     {"is_truncated", is_cut}});
}

std::string tunnels_json(const Snapshot& snapshot) {
  Json list = Json::array();
  for (const TunnelInfo& tunnel : snapshot.tunnels) {
    Json json{{"label", tunnel.label},
              {"name", tunnel.name},
              {"source", tunnel.source},
              {"target", tunnel.target},
              {"state", tunnel.state},
              {"reason", tunnel.reason},
              {"is_added_live", tunnel.is_added_live},
              {"listening", tunnel.local_addresses}};
    add_numbers(json, tunnel.counters);
    if (!tunnel.server.empty()) json["server"] = tunnel.server;
    if (tunnel.options.multipath) {
      json["multipath"] = std::string(word_of(*tunnel.options.multipath));
    }
    if (tunnel.options.udp_idle_timeout) {
      json[kUdpIdleTimeout] = in_seconds(*tunnel.options.udp_idle_timeout);
    }
    if (tunnel.retry_in) json["retry_in_seconds"] = in_seconds(*tunnel.retry_in);
    list.push_back(std::move(json));
  }
  Json json;
  json["tunnels"] = std::move(list);
  return dumped(json);
}

std::string log_level_json(LogLevel level) {
  Json json;
  json["level"] = to_string(level);
  return dumped(json);
}

std::string event_text(const peer::RoleEvent& event, double unix_time_s) {
  Json json;
  json["time"] = unix_time_s;
  if (!event.server.empty()) json["server"] = event.server;
  if (event.session != 0) json["session"] = event.session;
  const bool is_tunnel = event.kind == peer::RoleEventKind::tunnel_changed;
  if (!event.peer.empty()) json[is_tunnel ? "tunnel" : "peer"] = event.peer;
  if (!event.address.empty()) json["address"] = event.address;
  if (!event.detail.empty()) json["detail"] = event.detail;
  return fmt::format("event: {}\ndata: {}\n", word_of(event.kind), dumped(json));
}

Result<TunnelChange> parse_tunnel_change(TunnelAction action, std::string_view body) {
  CULVERT_TRY(const nlohmann::json json,
              parse_object(body, {"source", "target", "name", "enabled", "server", kUdpIdleTimeout,
                                  "multipath"}));
  TunnelChange change{.action = action};
  CULVERT_TRY(const auto source, text_member(json, "source"));
  CULVERT_TRY(const auto target, text_member(json, "target"));
  CULVERT_TRY(change.name, text_member(json, "name"));
  CULVERT_TRY(change.server, text_member(json, "server"));
  if (source) {
    CULVERT_TRY(change.source, tunnel::Source::parse_range(*source));
  }
  if (target) {
    CULVERT_TRY(change.target, tunnel::Target::parse(*target));
  }
  if (const auto found = json.find("enabled"); found != json.end()) {
    if (!found->is_boolean()) {
      return fail(ErrorKind::configuration, "must be true or false", "enabled");
    }
    change.is_enabled = found->get<bool>();
  }
  if (const auto found = json.find(kUdpIdleTimeout); found != json.end()) {
    CULVERT_TRY(const auto own, parse_udp_idle_timeout(*found));
    change.options.emplace_back(
        [own](tunnel::TunnelOptions& options) { options.udp_idle_timeout = own; });
  }
  if (const auto found = json.find("multipath"); found != json.end()) {
    CULVERT_TRY(const auto own, parse_multipath(*found));
    change.options.emplace_back([own](tunnel::TunnelOptions& options) { options.multipath = own; });
  }
  if (action == TunnelAction::add && (!source || !target)) {
    return fail(ErrorKind::configuration, "a tunnel needs both: {\"source\":..., \"target\":...}",
                source ? "target" : "source");
  }
  return change;
}

Result<LogLevel> parse_log_level(std::string_view body) {
  CULVERT_TRY(const nlohmann::json json, parse_object(body, {"level"}));
  CULVERT_TRY(const auto name, text_member(json, "level"));
  const auto level = log_level_of(name.value_or(""));
  if (!level) {
    return fail(ErrorKind::configuration, "must be error, warn, info, debug or trace", "level");
  }
  return *level;
}

Result<std::string> parse_reason(std::string_view body) {
  if (body.empty()) return "closed by the operator";
  CULVERT_TRY(const nlohmann::json json, parse_object(body, {"reason"}));
  CULVERT_TRY(const auto reason, text_member(json, "reason"));
  std::string text = reason.value_or("closed by the operator");
  if (text.size() > kMaxReasonBytes) {
    return fail(ErrorKind::configuration, fmt::format("longer than {} bytes", kMaxReasonBytes),
                "reason");
  }
  return text;
}

}  // namespace culvert::admin
