#include "app/counters.h"

namespace culvert::app {

control::Counters counters_of(const drive::ClientStats& stats) {
  return {.sessions_resumed = stats.sessions_resumed,
          .reconnect_attempts = stats.reconnect_attempts,
          .flows_opened = stats.flows_opened,
          .flows_refused = stats.flows_refused,
          .flows_active = stats.flows_active,
          .flows_dropped = stats.flows_dropped,
          .flows_unserved = stats.flows_unserved,
          .bytes_up = stats.bytes_up,
          .bytes_down = stats.bytes_down,
          .udp_dropped = stats.udp_dropped,
          .path_changes = stats.path_changes};
}

control::Counters counters_of(const drive::ServerStats& stats) {
  return {.sessions_accepted = stats.sessions_accepted,
          .sessions_refused = stats.sessions_refused,
          .sessions_active = stats.sessions_active,
          .sessions_suspended = stats.sessions_suspended,
          .sessions_resumed = stats.sessions_resumed,
          .connections_accepted = stats.endpoint.accepted,
          .connections_refused = stats.endpoint.refused_over_limit + stats.endpoint.displaced,
          .retries_sent = stats.endpoint.retries_sent,
          .flows_opened = stats.flows_opened,
          .flows_refused = stats.flows_refused,
          .flows_active = stats.flows_active,
          .flows_dropped = stats.flows_dropped,
          .bytes_up = stats.bytes_up,
          .bytes_down = stats.bytes_down,
          .udp_dropped = stats.udp_dropped,
          .handed_over = stats.handed_over,
          .path_changes = stats.path_changes};
}

}  // namespace culvert::app
