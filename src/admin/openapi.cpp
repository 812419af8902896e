#include "admin/api.h"
#include "peer/role_event.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cctype>
#include <string>
#include <utility>

namespace culvert::admin {
namespace {

using Json = nlohmann::ordered_json;

Json reference(std::string_view schema) {
  Json json;
  json["$ref"] = fmt::format("#/components/schemas/{}", schema);
  return json;
}

// "name:type" pairs, separated by spaces; types are s(tring) n(umber) i(nteger) b(oolean),
// l(ist of strings), or the name of a schema, with [] for a list of them.
Json object(std::string_view members, std::string_view required = {}) {
  Json properties = Json::object();
  while (members.starts_with(' ')) members.remove_prefix(1);
  while (!members.empty()) {
    const std::string_view member = members.substr(0, members.find(' '));
    members.remove_prefix(std::min(member.size() + 1, members.size()));
    const std::size_t colon = member.find(':');
    std::string_view type = member.substr(colon + 1);
    Json schema;
    if (type == "s") {
      schema["type"] = "string";
    } else if (type == "n") {
      schema["type"] = "number";
    } else if (type == "i") {
      schema["type"] = "integer";
    } else if (type == "b") {
      schema["type"] = "boolean";
    } else if (type == "l") {
      schema = {{"type", "array"}, {"items", {{"type", "string"}}}};
    } else if (type.ends_with("[]")) {
      type.remove_suffix(2);
      schema = {{"type", "array"}, {"items", reference(type)}};
    } else {
      schema = reference(type);
    }
    properties[std::string(member.substr(0, colon))] = std::move(schema);
  }
  Json json{{"type", "object"}, {"properties", std::move(properties)}};
  while (!required.empty()) {
    const std::string_view name = required.substr(0, required.find(' '));
    required.remove_prefix(std::min(name.size() + 1, required.size()));
    json["required"].push_back(name);
  }
  return json;
}

// The members of `object` for an Owner's numbers, with a space before each.
template <typename Owner>
std::string numbers() {
  std::string members;
  for (const CounterRow<Owner>& row : counter_rows<Owner>()) {
    if (row.name.empty()) continue;
    members += fmt::format(" {}:{}", row.name, row.unit == CounterUnit::seconds ? 'n' : 'i');
  }
  return members;
}

Json schemas() {
  Json log_level = object("level:s", "level");
  log_level["properties"]["level"]["enum"] = {"error", "warn", "info", "debug", "trace"};
  return {
      {"Error", object("error:s offender:s fix:s", "error offender fix")},
      {"Status",
       object("role:s version:s pid:i state:s started_at:i uptime_seconds:n "
              "endpoint_id:s listening:l server:Server servers:ClientServer[] counters:Counters "
              "authentication:Authentication audit:Audit",
              "role version pid state uptime_seconds endpoint_id listening counters")},
      {"Server", object("endpoint_id:s address:s")},
      {"ClientServer",
       object("name:s state:s reason:s endpoint_id:s address:s retry_in_seconds:n proxy:Proxy",
              "name state")},
      {"Proxy", object("target:s state:s reason:s listening:l", "target state")},
      {"Counters", object(numbers<drive::Counters>())},
      {"Authentication", object(numbers<session::AuthMetrics>())},
      {"Audit", object(numbers<AuditInfo>() + " failure:s")},
      {"Paths", object("paths:Path[]", "paths")},
      {"Path",
       object("local:s remote:s state:s session:i server:s" + numbers<quic::ConnectionStats>())},
      {"Sessions", object("sessions:Session[] active:i is_truncated:b", "sessions")},
      {"Session",
       object("id:i client:s comment:s address:s age_seconds:n" + numbers<SessionCounters>())},
      {"Tunnels", object("tunnels:Tunnel[]", "tunnels")},
      {"Tunnel", object("label:s name:s server:s source:s target:s state:s reason:s "
                        "is_added_live:b listening:l udp_idle_timeout_seconds:n multipath:s "
                        "retry_in_seconds:n" +
                        numbers<drive::TunnelCounters>())},
      {"NewTunnel", object("source:s target:s name:s enabled:b server:s udp_idle_timeout_seconds:n "
                           "multipath:s",
                           "source target")},
      {"TunnelChange",
       object("source:s target:s name:s enabled:b server:s udp_idle_timeout_seconds:n "
              "multipath:s")},
      {"Reason", object("reason:s")},
      {"LogLevel", std::move(log_level)},
      {"Event",
       {{"type", "string"},
        {"description",
         fmt::format("event: {} or dropped; data: an object with time, and server, session, peer, "
                     "tunnel, address and detail where they apply",
                     fmt::join(kWords<peer::RoleEventKind>, ", "))}}},
      {"OpenApi", {{"type", "object"}}},
      {"Metrics", {{"type", "string"}}},
      {"Health", {{"type", "string"}}},
  };
}

Json operation(const RouteInfo& route) {
  Json json;
  json["summary"] = route.summary;
  const std::size_t open = route.path.find('{');
  if (open != std::string_view::npos) {
    const std::string_view name = route.path.substr(open + 1, route.path.find('}') - open - 1);
    json["parameters"] = Json::array(
        {{{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
  }
  if (!route.body.empty()) {
    json["requestBody"] = {
        {"required", route.body != "Reason"},
        {"content", {{"application/json", {{"schema", reference(route.body)}}}}}};
  }
  Json& responses = json["responses"];
  if (route.response.empty()) {
    responses["204"] = {{"description", "done"}};
  } else {
    responses[route.method == "POST" ? "201" : "200"] = {
        {"description", route.summary},
        {"content", {{std::string(route.type), {{"schema", reference(route.response)}}}}}};
  }
  responses["default"] = {{"description", "what is wrong, and how to mend it"},
                          {"content", {{"application/json", {{"schema", reference("Error")}}}}}};
  return json;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

}  // namespace

std::string openapi_json() {
  Json paths = Json::object();
  for (const RouteInfo& route : routes()) {
    paths[std::string(route.path)][lower(route.method)] = operation(route);
  }
  const Json json{
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "culvert control"},
        {"version", "1"},
        {"description", "HTTP over a Unix socket of a running culvert; docs/control-api.md."}}},
      {"paths", std::move(paths)},
      {"components", {{"schemas", schemas()}}}};
  return json.dump(2) + "\n";
}

}  // namespace culvert::admin
