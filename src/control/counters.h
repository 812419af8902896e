// What a role counts. A counter is a member of Counters and its row in counter_rows(): sums, JSON,
// its schema and Prometheus follow from the row. What is not the same for both ends (where the
// value comes from) is in app/server_control.cpp and app/client_control.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace culvert::control {

// Since the start, but for *_active and *_suspended.
struct Counters {
  std::uint64_t sessions_accepted = 0;
  std::uint64_t sessions_refused = 0;
  std::uint64_t sessions_active = 0;
  std::uint64_t sessions_suspended = 0;  // of these, without a connection now
  std::uint64_t sessions_resumed = 0;
  std::uint64_t reconnect_attempts = 0;
  std::uint64_t connections_accepted = 0;  // QUIC handshakes begun
  std::uint64_t connections_refused = 0;   // over the limit of unauthenticated ones
  std::uint64_t retries_sent = 0;
  std::uint64_t flows_opened = 0;
  std::uint64_t flows_refused = 0;
  std::uint64_t flows_active = 0;
  std::uint64_t flows_dropped = 0;   // reset: too much of theirs waited for a connection
  std::uint64_t flows_unserved = 0;  // waited in vain for a connection to the server
  std::uint64_t bytes_up = 0;        // towards sources
  std::uint64_t bytes_down = 0;      // from sources
  std::uint64_t udp_dropped = 0;
  std::uint64_t handed_over = 0;
  std::uint64_t path_changes = 0;
};

enum class CountedBy : std::uint8_t { both, server, client };

struct CounterRow {
  std::string_view name;  // in JSON
  std::uint64_t Counters::* value;
  CountedBy by;
  // Prometheus. Rows of one metric stand together and differ by their label.
  std::string_view metric;
  std::string_view type;   // counter, gauge
  std::string_view label;  // empty: the metric's only one
  std::string_view help;
};

[[nodiscard]] std::span<const CounterRow> counter_rows();
void add(Counters& sum, const Counters& part);

}  // namespace culvert::control
