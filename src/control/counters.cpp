#include "control/counters.h"

#include <array>

namespace culvert::control {
namespace {

using enum CountedBy;

constexpr std::array kRows{
    CounterRow{"sessions_active", &Counters::sessions_active, server, "culvert_sessions", "gauge",
               "", "Authenticated clients now."},
    CounterRow{"sessions_suspended", &Counters::sessions_suspended, server,
               "culvert_sessions_suspended", "gauge", "",
               "Of these, those that wait for a connection."},
    CounterRow{"sessions_resumed", &Counters::sessions_resumed, both,
               "culvert_sessions_resumed_total", "counter", "",
               "Sessions that went on over another connection."},
    CounterRow{"reconnect_attempts", &Counters::reconnect_attempts, client,
               "culvert_reconnect_attempts_total", "counter", "",
               "Client: tries to reach the server again."},
    CounterRow{"sessions_accepted", &Counters::sessions_accepted, server,
               "culvert_auth_decisions_total", "counter", "decision=\"accepted\"",
               "Decisions about clients, by outcome."},
    CounterRow{"sessions_refused", &Counters::sessions_refused, server,
               "culvert_auth_decisions_total", "counter", "decision=\"refused\"", ""},
    CounterRow{"connections_accepted", &Counters::connections_accepted, server,
               "culvert_connections_accepted_total", "counter", "", "QUIC connections that began."},
    CounterRow{"connections_refused", &Counters::connections_refused, server,
               "culvert_connections_refused_total", "counter", "",
               "QUIC connections refused over the limit of unauthenticated ones."},
    CounterRow{"retries_sent", &Counters::retries_sent, server, "culvert_retries_sent_total",
               "counter", "", "QUIC Retry packets sent."},
    CounterRow{"flows_active", &Counters::flows_active, both, "culvert_flows", "gauge", "",
               "TCP connections and UDP flows open now."},
    CounterRow{"flows_opened", &Counters::flows_opened, both, "culvert_flows_opened_total",
               "counter", "", "Flows that began."},
    CounterRow{"flows_refused", &Counters::flows_refused, both, "culvert_flows_refused_total",
               "counter", "", "Flows that the server refused."},
    CounterRow{"flows_dropped", &Counters::flows_dropped, both, "culvert_flows_dropped_total",
               "counter", "", "Flows that were reset: too much of theirs waited for a connection."},
    CounterRow{"flows_unserved", &Counters::flows_unserved, client, "culvert_flows_unserved_total",
               "counter", "", "Client: flows that waited in vain for a connection to the server."},
    CounterRow{"bytes_up", &Counters::bytes_up, both, "culvert_flow_bytes_total", "counter",
               "direction=\"up\"", "Payload of flows; up is towards sources, down from them."},
    CounterRow{"bytes_down", &Counters::bytes_down, both, "culvert_flow_bytes_total", "counter",
               "direction=\"down\"", ""},
    CounterRow{"udp_dropped", &Counters::udp_dropped, both, "culvert_udp_datagrams_dropped_total",
               "counter", "", "Datagrams of UDP flows dropped by full queues or without a flow."},
    CounterRow{"handed_over", &Counters::handed_over, server, "culvert_packets_handed_over_total",
               "counter", "", "Packets that the kernel gave to another worker than theirs."},
    CounterRow{"path_changes", &Counters::path_changes, both, "culvert_path_changes_total",
               "counter", "", "Connections that moved to another address."},
};
static_assert(kRows.size() * sizeof(std::uint64_t) == sizeof(Counters), "a counter without a row");

}  // namespace

std::span<const CounterRow> counter_rows() {
  return kRows;
}

void add(Counters& sum, const Counters& part) {
  for (const CounterRow& row : kRows) sum.*row.value += part.*row.value;
}

}  // namespace culvert::control
