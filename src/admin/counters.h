// Tables of what is counted and measured: a number is a member of its struct and its row here.
// Sums, JSON, its schema, metrics, `culvert status` and docs/counters.md follow from the row; a
// member without a row does not compile.
#pragma once

#include "base/time.h"
#include "drive/counters.h"
#include "quic/connection.h"
#include "session/auth_limiter.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace culvert::admin {

// Of one client's session.
struct SessionCounters {
  std::uint64_t flows = 0;
  std::uint64_t bytes_sent = 0;  // as quic::ConnectionStats
  std::uint64_t bytes_received = 0;
};

// Server: the audit log.
struct AuditInfo {
  std::uint64_t lines_written = 0;
  std::uint64_t lines_lost = 0;           // found no room while nothing could be written
  std::uint64_t refusals_suppressed = 0;  // beyond what is written of them
  std::uint64_t bytes_waiting = 0;        // now
  std::string failure{};                  // why nothing can be written now; empty: it can
};

// What only the interface itself knows.
struct ControlCounters {
  std::uint64_t subscribers = 0;
  std::uint64_t subscribers_dropped = 0;
  std::uint64_t events_dropped = 0;
  std::uint64_t connections_dropped = 0;  // too slow, or in the way of others
  std::uint64_t hosts_refused = 0;        // requests over TCP for another host
};

using Number = std::variant<std::uint64_t, double>;  // a count, or seconds

// How to get at a number of an Owner.
template <typename Owner>
struct Field {
  Number (*read)(const Owner& owner);
  void (*write)(Owner& owner, Number number);  // null: it is made from members that have rows
};

enum class CountedBy : std::uint8_t { both, server, client };
enum class CounterKind : std::uint8_t { counter, gauge };  // since the start; now
enum class CounterUnit : std::uint8_t { count, bytes, seconds };

template <typename Owner>
struct CounterRow {
  std::string_view name;  // in JSON; empty: not there
  Field<Owner> field;
  CounterUnit unit = CounterUnit::count;
  CounterKind kind = CounterKind::counter;
  CountedBy by = CountedBy::both;
  // Prometheus; empty: not there. Rows of one metric stand together and differ by their label.
  std::string_view metric{};
  std::string_view label{};  // empty: the metric's only one
  std::string_view help{};   // of the metric: with the first of its rows
};

template <typename Owner>
[[nodiscard]] std::span<const CounterRow<Owner>> counter_rows();
template <>
std::span<const CounterRow<drive::Counters>> counter_rows();
template <>
std::span<const CounterRow<drive::TunnelCounters>> counter_rows();
template <>
std::span<const CounterRow<SessionCounters>> counter_rows();
template <>
std::span<const CounterRow<quic::ConnectionStats>> counter_rows();
template <>
std::span<const CounterRow<session::AuthMetrics>> counter_rows();
template <>
std::span<const CounterRow<AuditInfo>> counter_rows();
template <>
std::span<const CounterRow<ControlCounters>> counter_rows();

template <typename Owner>
void add(Owner& sum, const Owner& part) {
  for (const CounterRow<Owner>& row : counter_rows<Owner>()) {
    if (row.field.write == nullptr) continue;
    row.field.write(sum, std::visit(
                             [&](auto value) -> Number {
                               return value + std::get<decltype(value)>(row.field.read(part));
                             },
                             row.field.read(sum)));
  }
}

[[nodiscard]] std::string_view to_string(CounterKind kind);
// docs/counters.md
[[nodiscard]] std::string counters_markdown();

}  // namespace culvert::admin
