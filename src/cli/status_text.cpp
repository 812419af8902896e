#include "cli/status_text.h"

#include "admin/counters.h"
#include "base/printable.h"
#include "drive/counters.h"
#include "quic/connection.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace culvert::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kIdLength = 10;

json parsed(const std::string& text) {
  json value = json::parse(text, nullptr, false);
  return value.is_object() ? value : json::object();
}

std::string text_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? printable(found->get<std::string>()) : "";
}

double number_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

std::uint64_t count_of(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string joined(const json& object, const char* name) {
  std::string result;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return result;
  for (const json& item : *found) {
    if (item.is_string()) {
      result += (result.empty() ? "" : " ") + printable(item.get<std::string>());
    }
  }
  return result;
}

// The objects of a list; nothing else in it counts.
std::vector<json> objects(const json& object, const char* name) {
  std::vector<json> result;
  const auto found = object.find(name);
  if (found == object.end() || !found->is_array()) return result;
  for (const json& item : *found) {
    if (item.is_object()) result.push_back(item);
  }
  return result;
}

json member(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : json::object();
}

std::string coloured(std::string_view text, std::string_view code, StatusStyle style) {
  return style.has_colour ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string_view colour_of(std::string_view state) {
  if (state == "connected" || state == "serving" || state == "listening") return "32";
  if (state == "failed" || state == "source_refused") return "31";
  return "33";
}

std::string more(std::size_t count, StatusStyle style) {
  if (count <= style.max_rows) return "";
  return fmt::format("  ... and {} more (--json)\n", count - style.max_rows);
}

// The numbers of `object` that have a row.
template <typename Owner>
Owner numbers_of(const json& object) {
  Owner owner{};
  for (const admin::CounterRow<Owner>& row : admin::counter_rows<Owner>()) {
    const auto found = object.find(row.name);
    if (found == object.end() || row.field.write == nullptr) continue;
    if (row.unit == admin::CounterUnit::seconds) {
      if (found->is_number()) row.field.write(owner, found->template get<double>());
    } else if (found->is_number_unsigned()) {
      row.field.write(owner, found->template get<std::uint64_t>());
    }
  }
  return owner;
}

// Counters of an earlier answer, to tell how fast they grow.
class Rates {
 public:
  Rates(const json& status, const StatusBodies* before) {
    if (before == nullptr) return;
    bodies_ = before;
    const json earlier = parsed(before->status);
    // By the clock of the instance: what the answers took is in it.
    seconds_ = number_of(status, "uptime_seconds") - number_of(earlier, "uptime_seconds");
    is_known_ = seconds_ > 0 && count_of(status, "pid") == count_of(earlier, "pid");
    counters_ = numbers_of<drive::Counters>(member(earlier, "counters"));
  }

  [[nodiscard]] bool is_known() const { return is_known_; }
  [[nodiscard]] const drive::Counters& counters() const { return counters_; }
  [[nodiscard]] std::string of(std::uint64_t before, std::uint64_t now) const {
    const auto grown = static_cast<double>(now - std::min(before, now));
    return human_bytes(static_cast<std::uint64_t>(grown / seconds_)) + "/s";
  }
  [[nodiscard]] std::vector<json> earlier(std::string StatusBodies::* body,
                                          const char* name) const {
    return is_known_ ? objects(parsed(bodies_->*body), name) : std::vector<json>{};
  }

 private:
  const StatusBodies* bodies_ = nullptr;
  bool is_known_ = false;
  double seconds_ = 1;
  drive::Counters counters_{};
};

// Two cells more behind the others, where there are rates; `key` tells an object of a list from
// the others.
template <typename Owner, typename Key>
void add_rates(Row& row, const Rates& rates, const std::vector<json>& earlier, const json& now,
               Key key, std::array<std::uint64_t Owner::*, 2> members) {
  if (!rates.is_known()) return;
  const auto found = std::ranges::find(earlier, key(now), key);
  if (found == earlier.end()) {
    row.insert(row.end(), {"-", "-"});
    return;
  }
  const auto before = numbers_of<Owner>(*found);
  const auto after = numbers_of<Owner>(now);
  for (const auto member : members) row.push_back(rates.of(before.*member, after.*member));
}
void add_rate_titles(Row& row, const Rates& rates, std::array<const char*, 2> titles) {
  if (rates.is_known()) row.insert(row.end(), titles.begin(), titles.end());
}

std::string short_id(const std::string& id) {
  return id.substr(0, kIdLength);
}

// Columns, not bytes, of UTF-8 without double-width characters.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string tunnel_rows(const json& body, StatusStyle style, const Rates& rates) {
  using Counters = drive::TunnelCounters;
  const std::vector<json> tunnels = objects(body, "tunnels");
  if (tunnels.empty()) return "  no tunnels\n";
  const bool has_servers = std::ranges::any_of(
      tunnels, [](const json& tunnel) { return !text_of(tunnel, "server").empty(); });
  const auto key = [](const json& tunnel) {
    return std::pair(text_of(tunnel, "label"), text_of(tunnel, "server"));
  };
  const std::vector<json> earlier = rates.earlier(&StatusBodies::tunnels, "tunnels");
  std::vector<Row> rows{{"NAME", "LISTENING", "SOURCE", "FLOWS", "UP", "DOWN"}};
  add_rate_titles(rows.front(), rates, {"UP NOW", "DOWN NOW"});
  rows.front().emplace_back("STATE");
  if (has_servers) rows.front().insert(rows.front().begin(), "SERVER");
  for (const json& tunnel : tunnels) {
    if (rows.size() > style.max_rows) break;
    const std::string listening = joined(tunnel, "listening");
    const std::string state = text_of(tunnel, "state");
    const std::string reason = text_of(tunnel, "reason");
    const std::string name = text_of(tunnel, "name");
    const auto counters = numbers_of<Counters>(tunnel);
    rows.push_back({name.empty() ? "-" : name,
                    listening.empty() ? text_of(tunnel, "target") : listening,
                    text_of(tunnel, "source"), std::to_string(counters.flows_active),
                    human_bytes(counters.bytes_up), human_bytes(counters.bytes_down)});
    add_rates<Counters>(rows.back(), rates, earlier, tunnel, key,
                        {&Counters::bytes_up, &Counters::bytes_down});
    rows.back().push_back(coloured(state, colour_of(state), style) +
                          (reason.empty() ? "" : ": " + reason));
    if (has_servers) rows.back().insert(rows.back().begin(), text_of(tunnel, "server"));
  }
  const std::size_t numbers = has_servers ? 4 : 3;
  std::vector<std::size_t> right{numbers, numbers + 1, numbers + 2};
  if (rates.is_known()) right.insert(right.end(), {numbers + 3, numbers + 4});
  return aligned(rows, right, "  ") + more(tunnels.size(), style);
}

// Of a client with several.
std::string server_rows(const std::vector<json>& servers, StatusStyle style) {
  std::vector<Row> rows{{"SERVER", "ENDPOINTID", "ADDRESS", "STATE"}};
  for (const json& server : servers) {
    const std::string address = text_of(server, "address");
    const std::string state = text_of(server, "state");
    std::string reason = text_of(server, "reason");
    if (const double wait = number_of(server, "retry_in_seconds"); wait > 0) {
      reason += fmt::format("; again in {}", human_time(wait));
    }
    rows.push_back(
        {text_of(server, "name"), short_id(text_of(server, "endpoint_id")),
         address.empty() ? "-" : address,
         coloured(state, colour_of(state), style) + (reason.empty() ? "" : ": " + reason)});
  }
  return "\n" + aligned(rows, {}, "  ");
}

std::string session_rows(const json& body, StatusStyle style, const Rates& rates) {
  using Counters = admin::SessionCounters;
  const std::vector<json> sessions = objects(body, "sessions");
  if (sessions.empty()) return "  no clients\n";
  std::vector<Row> rows{
      {"ID", "CLIENT", "COMMENT", "ADDRESS", "SINCE", "FLOWS", "SENT", "RECEIVED"}};
  add_rate_titles(rows.front(), rates, {"SENT NOW", "RECEIVED NOW"});
  const auto key = [](const json& session) { return count_of(session, "id"); };
  const std::vector<json> earlier = rates.earlier(&StatusBodies::sessions, "sessions");
  for (const json& session : sessions) {
    if (rows.size() > style.max_rows) break;
    const std::string comment = text_of(session, "comment");
    const auto counters = numbers_of<Counters>(session);
    rows.push_back({std::to_string(count_of(session, "id")), short_id(text_of(session, "client")),
                    comment.empty() ? "-" : comment, text_of(session, "address"),
                    human_time(number_of(session, "age_seconds")), std::to_string(counters.flows),
                    human_bytes(counters.bytes_sent), human_bytes(counters.bytes_received)});
    add_rates<Counters>(rows.back(), rates, earlier, session, key,
                        {&Counters::bytes_sent, &Counters::bytes_received});
  }
  return aligned(rows, {0, 5, 6, 7, 8, 9}, "  ") + more(sessions.size(), style);
}

std::string path_rows(const json& body, StatusStyle style, const Rates& rates) {
  using Stats = quic::ConnectionStats;
  const std::vector<json> paths = objects(body, "paths");
  if (paths.empty()) return "";
  std::vector<Row> rows{{"PATH", "STATE", "RTT", "WINDOW", "LOST", "MTU", "SENT", "RECEIVED"}};
  add_rate_titles(rows.front(), rates, {"SENT NOW", "RECEIVED NOW"});
  const auto key = [](const json& path) {
    return std::tuple(text_of(path, "server"), count_of(path, "session"), text_of(path, "local"),
                      text_of(path, "remote"));
  };
  const std::vector<json> earlier = rates.earlier(&StatusBodies::paths, "paths");
  for (const json& path : paths) {
    if (rows.size() > style.max_rows) break;
    const auto stats = numbers_of<Stats>(path);
    const auto sent = static_cast<double>(stats.packets_sent);
    const auto lost = static_cast<double>(stats.packets_lost);
    rows.push_back({fmt::format("{} -> {}", text_of(path, "local"), text_of(path, "remote")),
                    text_of(path, "state"), human_time(in_seconds(stats.smoothed_rtt)),
                    human_bytes(stats.congestion_window_bytes),
                    fmt::format("{:.2f} %", sent > 0 ? 100 * lost / sent : 0.0),
                    std::to_string(stats.max_udp_payload_bytes), human_bytes(stats.bytes_sent),
                    human_bytes(stats.bytes_received)});
    add_rates<Stats>(rows.back(), rates, earlier, path, key,
                     {&Stats::bytes_sent, &Stats::bytes_received});
  }
  return "\n" + aligned(rows, {2, 3, 4, 5, 6, 7, 8, 9}, "  ") + more(paths.size(), style);
}

}  // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0) return fmt::format("{} B", bytes);
  return value < 99.95 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                       : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

std::string human_time(double seconds) {
  if (seconds <= 0) return "0 s";
  if (seconds < 0.001) return fmt::format("{:.0f} us", seconds * 1e6);
  if (seconds < 1) return fmt::format("{:.1f} ms", seconds * 1e3);
  constexpr std::uint64_t kMinute = 60;
  constexpr std::uint64_t kHour = 60 * kMinute;
  constexpr std::uint64_t kDay = 24 * kHour;
  const auto whole = static_cast<std::uint64_t>(std::min(seconds, 1e12));
  if (whole < kMinute) return fmt::format("{} s", whole);
  if (whole < kHour) return fmt::format("{} min {} s", whole / kMinute, whole % kMinute);
  if (whole < kDay) return fmt::format("{} h {} min", whole / kHour, whole % kHour / kMinute);
  return fmt::format("{} d {} h", whole / kDay, whole % kDay / kHour);
}

std::string aligned(const std::vector<Row>& rows, const std::vector<std::size_t>& right,
                    std::string_view indent) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (const Row& row : rows) {
    text += indent;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - width(row[i]), ' ');
      const bool is_right = std::ranges::find(right, i) != right.end();
      const bool is_last = i + 1 == row.size();
      text += is_right ? padding + row[i] : row[i] + (is_last ? "" : padding);
      if (!is_last) text += "  ";
    }
    text += '\n';
  }
  return text;
}

std::string status_text(const StatusBodies& bodies, StatusStyle style, const StatusBodies* before) {
  const json status = parsed(bodies.status);
  const Rates rates(status, before);
  const auto counters = numbers_of<drive::Counters>(member(status, "counters"));
  const std::string state = text_of(status, "state");
  const bool is_client = text_of(status, "role") == "client";
  std::string text =
      fmt::format("{}  {}  culvert {}  up {}\n", coloured(printable(bodies.name), "1", style),
                  coloured(state, colour_of(state), style), text_of(status, "version"),
                  human_time(number_of(status, "uptime_seconds")));
  std::vector<Row> facts{{"EndpointId", text_of(status, "endpoint_id")},
                         {"UDP", joined(status, "listening")}};
  const std::vector<json> servers = objects(status, "servers");
  const bool has_servers = servers.size() > 1;
  if (is_client && !has_servers) {
    const json server = member(status, "server");
    facts.push_back({"Server", fmt::format("{} {}", text_of(server, "endpoint_id"),
                                           text_of(server, "address"))});
  } else if (!is_client) {
    facts.push_back(
        {"Clients", fmt::format("{} now, {} let in, {} refused", counters.sessions_active,
                                counters.sessions_accepted, counters.sessions_refused)});
  }
  facts.push_back({"Flows", fmt::format("{} now, {} opened, {} refused", counters.flows_active,
                                        counters.flows_opened, counters.flows_refused)});
  if (rates.is_known()) {
    facts.push_back(
        {"Now",
         fmt::format("{} up, {} down", rates.of(rates.counters().bytes_up, counters.bytes_up),
                     rates.of(rates.counters().bytes_down, counters.bytes_down))});
  }
  facts.push_back({"Traffic", fmt::format("{} up, {} down, {} datagrams dropped",
                                          human_bytes(counters.bytes_up),
                                          human_bytes(counters.bytes_down), counters.udp_dropped)});
  if (const json audit = member(status, "audit"); !audit.empty()) {
    const auto lines = numbers_of<admin::AuditInfo>(audit);
    const std::string failure = text_of(audit, "failure");
    facts.push_back(
        {"Audit log", fmt::format("{} lines, {} lost, {} refusals left out{}{}",
                                  lines.lines_written, lines.lines_lost, lines.refusals_suppressed,
                                  failure.empty() ? "" : "; now: ", failure)});
  }
  for (const json& server : servers) {
    const json proxy = member(server, "proxy");
    if (proxy.empty()) continue;
    const std::string listening = joined(proxy, "listening");
    const std::string proxy_state = text_of(proxy, "state");
    const std::string reason = text_of(proxy, "reason");
    facts.push_back(
        {"Proxy", fmt::format("{}{}{} {}{}{}", text_of(server, "name"), has_servers ? ": " : "",
                              listening.empty() ? text_of(proxy, "target") : listening,
                              coloured(proxy_state, colour_of(proxy_state), style),
                              reason.empty() ? "" : ": ", reason)});
  }
  text += aligned(facts, {}, "  ");
  if (has_servers) text += server_rows(servers, style);
  text += '\n';
  text += is_client ? tunnel_rows(parsed(bodies.tunnels), style, rates)
                    : session_rows(parsed(bodies.sessions), style, rates);
  return text + path_rows(parsed(bodies.paths), style, rates);
}

std::string tunnels_text(std::string_view tunnels, StatusStyle style) {
  return tunnel_rows(parsed(std::string(tunnels)), style, Rates(json::object(), nullptr));
}

}  // namespace culvert::cli
