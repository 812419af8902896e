#include "admin/counters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <type_traits>
#include <utility>

namespace culvert::admin {
namespace {

using enum CounterUnit;
using enum CounterKind;
using enum CountedBy;

template <typename Owner, typename Member>
Owner owner_of(Member Owner::*);

// The member that a path of member pointers leads to.
template <auto... path, typename Owner>
constexpr auto& member(Owner& owner) {
  return (owner.*....*path);
}

template <auto first, auto... rest>
constexpr auto of() {
  using Owner = decltype(owner_of(first));
  using Member = std::remove_cvref_t<decltype(member<first, rest...>(std::declval<Owner&>()))>;
  if constexpr (std::is_same_v<Member, Duration>) {
    return Field<Owner>{.read = [](const Owner& owner) -> Number {
                          return in_seconds(member<first, rest...>(owner));
                        },
                        .write =
                            [](Owner& owner, Number number) {
                              member<first, rest...>(owner) = std::chrono::duration_cast<Duration>(
                                  std::chrono::duration<double>(std::get<double>(number)));
                            }};
  } else {
    static_assert(std::is_same_v<Member, std::uint64_t>);
    return Field<Owner>{
        .read = [](const Owner& owner) -> Number { return member<first, rest...>(owner); },
        .write =
            [](Owner& owner, Number number) {
              member<first, rest...>(owner) = std::get<std::uint64_t>(number);
            }};
  }
}

// Whether each member has a row. All are of 64 bits, but for `other_bytes`; counters_test shows
// that no two rows are of one member.
template <typename Owner, std::size_t N>
constexpr bool has_all(const std::array<CounterRow<Owner>, N>& rows, std::size_t other_bytes = 0) {
  const auto members = static_cast<std::size_t>(std::ranges::count_if(
      rows, [](const CounterRow<Owner>& row) { return row.field.write != nullptr; }));
  return members * sizeof(std::uint64_t) + other_bytes == sizeof(Owner);
}

using Role = drive::Counters;
using Endpoint = quic::EndpointStats;
constexpr std::array kRole{
    CounterRow<Role>{"sessions_active", of<&Role::sessions_active>(), count, gauge, server,
                     "culvert_sessions", "", "Authenticated clients now."},
    CounterRow<Role>{"sessions_suspended", of<&Role::sessions_suspended>(), count, gauge, server,
                     "culvert_sessions_suspended", "",
                     "Of these, those that wait for a connection."},
    CounterRow<Role>{"sessions_opened", of<&Role::sessions_opened>(), count, counter, client,
                     "culvert_sessions_opened_total", "",
                     "Client: new sessions, the first included."},
    CounterRow<Role>{"sessions_resumed", of<&Role::sessions_resumed>(), count, counter, both,
                     "culvert_sessions_resumed_total", "",
                     "Sessions that went on over another connection."},
    CounterRow<Role>{"reconnect_attempts", of<&Role::reconnect_attempts>(), count, counter, client,
                     "culvert_reconnect_attempts_total", "",
                     "Client: tries to reach the server again."},
    CounterRow<Role>{"sessions_accepted", of<&Role::sessions_accepted>(), count, counter, server,
                     "culvert_auth_decisions_total", "decision=\"accepted\"",
                     "Decisions about clients, by outcome."},
    CounterRow<Role>{"sessions_refused", of<&Role::sessions_refused>(), count, counter, server,
                     "culvert_auth_decisions_total", "decision=\"refused\"", ""},
    CounterRow<Role>{"connections_active", of<&Role::connections_active>(), count, gauge, server,
                     "culvert_connections", "",
                     "QUIC connections now, also those of nobody yet and those that end."},
    CounterRow<Role>{"connections_accepted", of<&Role::endpoint, &Endpoint::accepted>(), count,
                     counter, server, "culvert_connections_accepted_total", "",
                     "QUIC connections that began."},
    CounterRow<Role>{"connections_refused", of<&Role::endpoint, &Endpoint::refused>(), count,
                     counter, server, "culvert_connections_refused_total", "",
                     "QUIC connections refused over the limit of unauthenticated ones."},
    CounterRow<Role>{"connections_displaced", of<&Role::endpoint, &Endpoint::displaced>(), count,
                     counter, server, "culvert_connections_displaced_total", "",
                     "Of these, those that had begun and gave their places to others."},
    CounterRow<Role>{"connections_unread", of<&Role::connections_unread>(), count, counter, both,
                     "culvert_connections_unread_total", "",
                     "Connections closed because the other side did not read its control stream."},
    CounterRow<Role>{"retries_sent", of<&Role::endpoint, &Endpoint::retries_sent>(), count, counter,
                     server, "culvert_retries_sent_total", "", "QUIC Retry packets sent."},
    CounterRow<Role>{"version_negotiations_sent",
                     of<&Role::endpoint, &Endpoint::version_negotiations_sent>(), count, counter,
                     server, "culvert_version_negotiations_sent_total", "",
                     "QUIC Version Negotiation packets sent."},
    CounterRow<Role>{"stateless_resets_sent",
                     of<&Role::endpoint, &Endpoint::stateless_resets_sent>(), count, counter, both,
                     "culvert_stateless_resets_sent_total", "",
                     "Answers to packets of connections that are gone."},
    CounterRow<Role>{"packets_unknown", of<&Role::endpoint, &Endpoint::dropped_unknown>(), count,
                     counter, both, "culvert_packets_dropped_total", "reason=\"unknown\"",
                     "Datagrams dropped at the door: of no connection, or no QUIC."},
    CounterRow<Role>{"packets_malformed", of<&Role::endpoint, &Endpoint::dropped_malformed>(),
                     count, counter, both, "culvert_packets_dropped_total", "reason=\"malformed\"",
                     ""},
    CounterRow<Role>{"packets_stray", of<&Role::packets_stray>(), count, counter, both,
                     "culvert_packets_dropped_total", "reason=\"stray\"", ""},
    CounterRow<Role>{
        "packets_unsent", of<&Role::packets_unsent>(), count, counter, both,
        "culvert_packets_unsent_total", "",
        "Packets of ours that a relay, a TURN server or a full socket had no room for."},
    CounterRow<Role>{"flows_active", of<&Role::flows_active>(), count, gauge, both, "culvert_flows",
                     "", "TCP connections and UDP flows open now."},
    CounterRow<Role>{"flows_opened", of<&Role::flows_opened>(), count, counter, both,
                     "culvert_flows_opened_total", "", "Flows that began."},
    CounterRow<Role>{"flows_refused", of<&Role::flows_refused>(), count, counter, both,
                     "culvert_flows_refused_total", "", "Flows that the server refused."},
    CounterRow<Role>{"flows_dropped", of<&Role::flows_dropped>(), count, counter, both,
                     "culvert_flows_dropped_total", "",
                     "Flows that were reset: too much of theirs waited for a connection."},
    CounterRow<Role>{"flows_unserved", of<&Role::flows_unserved>(), count, counter, client,
                     "culvert_flows_unserved_total", "",
                     "Client: flows that waited in vain for a connection to the server."},
    CounterRow<Role>{"bytes_up", of<&Role::bytes_up>(), bytes, counter, both,
                     "culvert_flow_bytes_total", "direction=\"up\"",
                     "Payload of flows; up is towards sources, down from them."},
    CounterRow<Role>{"bytes_down", of<&Role::bytes_down>(), bytes, counter, both,
                     "culvert_flow_bytes_total", "direction=\"down\"", ""},
    CounterRow<Role>{"udp_dropped", of<&Role::udp_dropped>(), count, counter, both,
                     "culvert_udp_datagrams_dropped_total", "",
                     "Datagrams of UDP flows dropped by full queues or without a flow."},
    CounterRow<Role>{"handed_over", of<&Role::handed_over>(), count, counter, server,
                     "culvert_packets_handed_over_total", "",
                     "Packets that the kernel gave to another worker than theirs."},
    CounterRow<Role>{"path_changes", of<&Role::path_changes>(), count, counter, both,
                     "culvert_path_changes_total", "",
                     "Connections that moved to another address."},
};
static_assert(has_all(kRole));

using Tunnel = drive::TunnelCounters;
constexpr std::array kTunnel{
    CounterRow<Tunnel>{"flows_opened", of<&Tunnel::flows_opened>(), count, counter, client, "", "",
                       "Flows that began."},
    CounterRow<Tunnel>{"flows_refused", of<&Tunnel::flows_refused>(), count, counter, client, "",
                       "", "Flows that the server refused."},
    CounterRow<Tunnel>{"flows_active", of<&Tunnel::flows_active>(), count, gauge, client, "", "",
                       "Flows open now."},
    CounterRow<Tunnel>{"bytes_up", of<&Tunnel::bytes_up>(), bytes, counter, client, "", "",
                       "Payload towards the source."},
    CounterRow<Tunnel>{"bytes_down", of<&Tunnel::bytes_down>(), bytes, counter, client, "", "",
                       "Payload from the source."},
};
static_assert(has_all(kTunnel));

constexpr std::array kSession{
    CounterRow<SessionCounters>{"flows", of<&SessionCounters::flows>(), count, gauge, server, "",
                                "", "Flows open now."},
    CounterRow<SessionCounters>{"bytes_sent", of<&SessionCounters::bytes_sent>(), bytes, counter,
                                server, "", "", "UDP payload sent on its connection."},
    CounterRow<SessionCounters>{"bytes_received", of<&SessionCounters::bytes_received>(), bytes,
                                counter, server, "", "", "UDP payload received on it."},
};
static_assert(has_all(kSession));

using Path = quic::ConnectionStats;
constexpr std::array kPath{
    CounterRow<Path>{"rtt_seconds", of<&Path::smoothed_rtt>(), seconds, gauge, both,
                     "culvert_path_rtt_seconds", "", "Smoothed round-trip time of a path."},
    CounterRow<Path>{"min_rtt_seconds", of<&Path::min_rtt>(), seconds, gauge, both,
                     "culvert_path_min_rtt_seconds", "", "Least round-trip time of a path so far."},
    CounterRow<Path>{"congestion_window_bytes", of<&Path::congestion_window_bytes>(), bytes, gauge,
                     both, "culvert_path_congestion_window_bytes", "",
                     "Congestion window of a path."},
    CounterRow<Path>{"bytes_in_flight", of<&Path::bytes_in_flight>(), bytes, gauge, both, "", "",
                     "Sent, and not yet acknowledged."},
    CounterRow<Path>{"bytes_sent", of<&Path::bytes_sent>(), bytes, counter, both,
                     "culvert_path_sent_bytes_total", "", "UDP payload sent over a path."},
    CounterRow<Path>{"bytes_received", of<&Path::bytes_received>(), bytes, counter, both,
                     "culvert_path_received_bytes_total", "", "UDP payload received over a path."},
    CounterRow<Path>{"packets_sent", of<&Path::packets_sent>(), count, counter, both,
                     "culvert_path_sent_packets_total", "", "QUIC packets sent over a path."},
    CounterRow<Path>{"packets_repeated", of<&Path::packets_repeated>(), count, counter, both,
                     "culvert_path_repeated_packets_total", "",
                     "Of these, copies of small packets, for a path that loses some."},
    CounterRow<Path>{"packets_received", of<&Path::packets_received>(), count, counter, both,
                     "culvert_path_received_packets_total", "",
                     "QUIC packets received over a path."},
    CounterRow<Path>{"packets_lost", of<&Path::packets_lost>(), count, counter, both,
                     "culvert_path_lost_packets_total", "",
                     "QUIC packets with data that were lost on a path."},
    CounterRow<Path>{"datagrams_dropped", of<&Path::datagrams_dropped>(), count, counter, both,
                     "culvert_path_dropped_datagrams_total", "",
                     "DATAGRAM frames that a path's queue had no room for."},
    CounterRow<Path>{"mtu_bytes", of<&Path::max_udp_payload_bytes>(), bytes, gauge, both,
                     "culvert_path_mtu_bytes", "", "Largest UDP payload found for a path."},
};
static_assert(has_all(kPath));

using Auth = session::AuthMetrics;
constexpr std::array kAuth{
    CounterRow<Auth>{"accepted", of<&Auth::accepted>(), count, counter, server,
                     "culvert_auth_checks_total", "outcome=\"accepted\"",
                     "Server: credentials presented by clients that asked for a session, by "
                     "outcome."},
    CounterRow<Auth>{"invalid", of<&Auth::rejected_invalid>(), count, counter, server,
                     "culvert_auth_checks_total", "outcome=\"invalid\"", ""},
    CounterRow<Auth>{"rate_limited", of<&Auth::rejected_rate_limited>(), count, counter, server,
                     "culvert_auth_checks_total", "outcome=\"rate_limited\"", ""},
    CounterRow<Auth>{"credential_lockouts", of<&Auth::credential_lockouts>(), count, counter,
                     server, "culvert_auth_lockouts_total", "scope=\"credential\"",
                     "Server: times that failures closed the door for a while, by what they closed "
                     "it to."},
    CounterRow<Auth>{"address_lockouts", of<&Auth::address_lockouts>(), count, counter, server,
                     "culvert_auth_lockouts_total", "scope=\"address\"", ""},
    CounterRow<Auth>{"global_lockouts", of<&Auth::global_lockouts>(), count, counter, server,
                     "culvert_auth_lockouts_total", "scope=\"global\"", ""},
    CounterRow<Auth>{"credentials_locked", of<&Auth::credentials_locked>(), count, gauge, server,
                     "culvert_auth_locked", "scope=\"credential\"",
                     "Server: what is locked out now; global is 0 or 1."},
    CounterRow<Auth>{"addresses_locked", of<&Auth::addresses_locked>(), count, gauge, server,
                     "culvert_auth_locked", "scope=\"address\"", ""},
    CounterRow<Auth>{"",
                     {[](const Auth& auth) -> Number {
                        return std::uint64_t{auth.global_lockout_remaining > Duration::zero()};
                      },
                      nullptr},
                     count,
                     gauge,
                     server,
                     "culvert_auth_locked",
                     "scope=\"global\"",
                     ""},
    CounterRow<Auth>{"", of<&Auth::credentials_tracked>(), count, gauge, server,
                     "culvert_auth_tracked", "scope=\"credential\"",
                     "Server: credentials and addresses whose failures are remembered."},
    CounterRow<Auth>{"", of<&Auth::addresses_tracked>(), count, gauge, server,
                     "culvert_auth_tracked", "scope=\"address\"", ""},
    CounterRow<Auth>{
        "", of<&Auth::forgotten>(), count, counter, server, "culvert_auth_forgotten_total", "",
        "Server: remembered failures that gave way to newer ones because the table was "
        "full."},
    CounterRow<Auth>{"global_lockout_seconds", of<&Auth::global_lockout_remaining>(), seconds,
                     gauge, server, "culvert_auth_global_lockout_remaining_seconds", "",
                     "Server: until wrong credentials are told apart again; 0 when they are."},
};
static_assert(has_all(kAuth));

constexpr std::array kAudit{
    CounterRow<AuditInfo>{"lines_written", of<&AuditInfo::lines_written>(), count, counter, server,
                          "culvert_audit_lines_total", "outcome=\"written\"",
                          "Server: lines of the audit log, by what became of them; suppressed are "
                          "refusals beyond what is written of them."},
    CounterRow<AuditInfo>{"lines_lost", of<&AuditInfo::lines_lost>(), count, counter, server,
                          "culvert_audit_lines_total", "outcome=\"lost\"", ""},
    CounterRow<AuditInfo>{"refusals_suppressed", of<&AuditInfo::refusals_suppressed>(), count,
                          counter, server, "culvert_audit_lines_total", "outcome=\"suppressed\"",
                          ""},
    CounterRow<AuditInfo>{"bytes_waiting", of<&AuditInfo::bytes_waiting>(), bytes, gauge, server,
                          "culvert_audit_waiting_bytes", "",
                          "Server: of the audit log, not yet written."},
    CounterRow<AuditInfo>{
        "",
        {[](const AuditInfo& audit) -> Number { return std::uint64_t{!audit.failure.empty()}; },
         nullptr},
        count,
        gauge,
        server,
        "culvert_audit_failing",
        "",
        "Server: 1 while the audit log cannot be written."},
};
static_assert(has_all(kAudit, sizeof(AuditInfo::failure)));

using Interface = ControlCounters;
constexpr std::array kInterface{
    CounterRow<Interface>{"", of<&Interface::subscribers>(), count, gauge, both,
                          "culvert_event_subscribers", "", "Event streams open now."},
    CounterRow<Interface>{"", of<&Interface::subscribers_dropped>(), count, counter, both,
                          "culvert_event_subscribers_dropped_total", "",
                          "Event streams closed because their reader was too slow."},
    CounterRow<Interface>{"", of<&Interface::events_dropped>(), count, counter, both,
                          "culvert_events_dropped_total", "",
                          "Events left out because too many came at once."},
    CounterRow<Interface>{"", of<&Interface::connections_dropped>(), count, counter, both,
                          "culvert_control_connections_dropped_total", "",
                          "Connections to this interface closed because they were slow, or gave "
                          "way to others."},
    CounterRow<Interface>{"", of<&Interface::hosts_refused>(), count, counter, both,
                          "culvert_control_hosts_refused_total", "",
                          "Requests to --metrics-listen refused because they named another host."},
};
static_assert(has_all(kInterface));

// --- docs/counters.md ----------------------------------------------------------------------------

template <typename Owner>
void add_section(std::string& text, std::string_view title, std::string_view introduction) {
  constexpr std::array kWho{"", "server", "client"};
  constexpr std::array kUnits{"", "bytes", "seconds"};
  text += fmt::format("\n## {}\n\n{}\n\n| JSON | metric | kind | what |\n|---|---|---|---|\n",
                      title, introduction);
  for (const CounterRow<Owner>& row : counter_rows<Owner>()) {
    const std::string metric = row.label.empty() ? std::string(row.metric)
                                                 : fmt::format("{}{{{}}}", row.metric, row.label);
    const auto quoted = [](std::string_view name) {
      return name.empty() ? std::string() : fmt::format("`{}`", name);
    };
    std::string kind(to_string(row.kind));
    for (const char* more :
         {kUnits[static_cast<std::size_t>(row.unit)], kWho[static_cast<std::size_t>(row.by)]}) {
      if (*more != '\0') kind += fmt::format(", {}", more);
    }
    text +=
        fmt::format("| {} | {} | {} | {} |\n", quoted(row.name), quoted(metric), kind, row.help);
  }
}

}  // namespace

template <>
std::span<const CounterRow<Role>> counter_rows<Role>() {
  return kRole;
}
template <>
std::span<const CounterRow<Tunnel>> counter_rows<Tunnel>() {
  return kTunnel;
}
template <>
std::span<const CounterRow<SessionCounters>> counter_rows<SessionCounters>() {
  return kSession;
}
template <>
std::span<const CounterRow<Path>> counter_rows<Path>() {
  return kPath;
}
template <>
std::span<const CounterRow<Auth>> counter_rows<Auth>() {
  return kAuth;
}
template <>
std::span<const CounterRow<AuditInfo>> counter_rows<AuditInfo>() {
  return kAudit;
}
template <>
std::span<const CounterRow<Interface>> counter_rows<Interface>() {
  return kInterface;
}

std::string_view to_string(CounterKind kind) {
  return kind == counter ? "counter" : "gauge";
}

std::string counters_markdown() {
  std::string text =
      "# Counters\n\n<!-- generated: culvert help --counters -->\n\n"
      "What running servers and clients count and measure, in the JSON of its control API\n"
      "([control-api.md](control-api.md)) and as Prometheus metrics (`--metrics-listen`). Counters "
      "are "
      "since the\nstart of the process, gauges are now. Where a line explains nothing, it is of "
      "the "
      "metric above.\n";
  add_section<Role>(text, "A server or a client",
                    "`counters` of `/v1/status`. Of a client with several servers the metrics have "
                    "the label `server`.");
  add_section<Path>(text, "A path", "`/v1/paths`; metrics have the labels of the path.");
  add_section<SessionCounters>(text, "A session", "`/v1/sessions` of a server.");
  add_section<Tunnel>(text, "A tunnel", "`/v1/tunnels` of a client.");
  add_section<Auth>(text, "Credentials", "`authentication` of a server's `/v1/status`.");
  add_section<AuditInfo>(text, "The audit log", "`audit` of a server's `/v1/status`.");
  add_section<Interface>(text, "The control API itself", "Metrics only.");
  return text;
}

}  // namespace culvert::admin
