#include "control/metrics.h"

#include "base/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <iterator>
#include <map>

namespace culvert::control {
namespace {

std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    text += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return text;
}

class Writer {
 public:
  Writer(const Snapshot& its_snapshot, const ControlCounters& its_control)
      : snapshot(its_snapshot), control(its_control) {}

  void begin(const MetricInfo& info) {
    name_ = info.name;
    text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", info.name, info.help, info.name, info.type);
  }
  template <typename Number>
  void add(Number value, std::string_view labels = {}) {
    text += labels.empty() ? fmt::format("{} {}\n", name_, value)
                           : fmt::format("{}{{{}}} {}\n", name_, labels, value);
  }
  // One of several servers has its name as label.
  [[nodiscard]] bool has_servers() const {
    return !snapshot.servers.empty() && !snapshot.servers.front().name.empty();
  }
  void add_counter(const CounterRow& row) {
    if (row.by == CountedBy::server || !has_servers()) {
      return add(snapshot.counters.*row.value, row.label);
    }
    for (const ServerInfo& server : snapshot.servers) {
      add(server.counters.*row.value, fmt::format("server=\"{}\"{}{}", escaped(server.name),
                                                  row.label.empty() ? "" : ",", row.label));
    }
  }
  template <typename Value>
  void add_paths(Value value_of) {
    const std::size_t count = std::min(snapshot.paths.size(), limits::kMaxMetricPaths);
    for (const PathInfo& path : std::span(snapshot.paths).first(count)) {
      const std::string server =
          path.server.empty() ? "" : fmt::format("server=\"{}\",", escaped(path.server));
      add(value_of(path), fmt::format("{}session=\"{}\",local=\"{}\",remote=\"{}\"", server,
                                      path.session, escaped(path.local), escaped(path.remote)));
    }
  }

  const Snapshot& snapshot;
  const ControlCounters& control;
  std::string text;

 private:
  std::string_view name_;
};

void add_tunnels(Writer& out, std::string_view server, const std::string& label) {
  std::map<std::string_view, int> states{
      {"waiting", 0}, {"listening", 0}, {"source_refused", 0}, {"failed", 0}, {"disabled", 0}};
  for (const TunnelInfo& tunnel : out.snapshot.tunnels) {
    if (tunnel.server == server) ++states[tunnel.state];
  }
  for (const auto& [state, count] : states) {
    out.add(count, fmt::format("{}state=\"{}\"", label, state));
  }
}

void add_all_tunnels(Writer& out) {
  if (out.snapshot.role != "client") return;
  if (!out.has_servers()) return add_tunnels(out, "", "");
  for (const ServerInfo& server : out.snapshot.servers) {
    add_tunnels(out, server.name, fmt::format("server=\"{}\",", escaped(server.name)));
  }
}

void add_connected(Writer& out) {
  const auto is_up = [](std::string_view state) {
    return state == "connected" || state == "serving" ? 1 : 0;
  };
  if (!out.has_servers()) return out.add(is_up(out.snapshot.state));
  for (const ServerInfo& server : out.snapshot.servers) {
    out.add(is_up(server.state), fmt::format("server=\"{}\"", escaped(server.name)));
  }
}

// Of a server; a client has none to judge.
template <typename Write>
void add_auth(Writer& out, Write write) {
  if (out.snapshot.auth) write(*out.snapshot.auth);
}

template <typename Write>
void add_audit(Writer& out, Write write) {
  if (out.snapshot.audit) write(*out.snapshot.audit);
}

struct Metric {
  MetricInfo info;
  void (*write)(Writer& out);
};

constexpr std::array kMetrics{
    Metric{{"culvert_build_info", "gauge", "Always 1; version and role are labels."},
           [](Writer& o) {
             o.add(1, fmt::format("version=\"{}\",role=\"{}\"", escaped(o.snapshot.version),
                                  escaped(o.snapshot.role)));
           }},
    Metric{{"culvert_start_time_seconds", "gauge", "Unix time at which the process started."},
           [](Writer& o) { o.add(o.snapshot.started_at_s); }},
    Metric{{"culvert_connected", "gauge",
            "Client: 1 while authenticated with the server. Server: 1 while it serves."},
           add_connected},
    Metric{{"culvert_auth_checks_total", "counter",
            "Server: credentials presented by clients that asked for a session, by outcome."},
           [](Writer& o) {
             add_auth(o, [&o](const session::AuthMetrics& auth) {
               o.add(auth.accepted, "outcome=\"accepted\"");
               o.add(auth.rejected_invalid, "outcome=\"invalid\"");
               o.add(auth.rejected_rate_limited, "outcome=\"rate_limited\"");
             });
           }},
    Metric{{"culvert_auth_lockouts_total", "counter",
            "Server: times that failures closed the door for a while, by what they closed it to."},
           [](Writer& o) {
             add_auth(o, [&o](const session::AuthMetrics& auth) {
               o.add(auth.credential_lockouts, "scope=\"credential\"");
               o.add(auth.address_lockouts, "scope=\"address\"");
               o.add(auth.global_lockouts, "scope=\"global\"");
             });
           }},
    Metric{{"culvert_auth_locked", "gauge", "Server: what is locked out now; global is 0 or 1."},
           [](Writer& o) {
             add_auth(o, [&o](const session::AuthMetrics& auth) {
               o.add(auth.credentials_locked, "scope=\"credential\"");
               o.add(auth.addresses_locked, "scope=\"address\"");
               o.add(auth.global_lockout_remaining > Duration::zero() ? 1 : 0, "scope=\"global\"");
             });
           }},
    Metric{{"culvert_auth_tracked", "gauge",
            "Server: credentials and addresses whose failures are remembered."},
           [](Writer& o) {
             add_auth(o, [&o](const session::AuthMetrics& auth) {
               o.add(auth.credentials_tracked, "scope=\"credential\"");
               o.add(auth.addresses_tracked, "scope=\"address\"");
             });
           }},
    Metric{{"culvert_auth_forgotten_total", "counter",
            "Server: remembered failures that gave way to newer ones because the table was full."},
           [](Writer& o) {
             add_auth(o, [&o](const session::AuthMetrics& auth) { o.add(auth.forgotten); });
           }},
    Metric{{"culvert_auth_global_lockout_remaining_seconds", "gauge",
            "Server: until wrong credentials are told apart again; 0 when they are."},
           [](Writer& o) {
             add_auth(o, [&o](const session::AuthMetrics& auth) {
               o.add(in_seconds(auth.global_lockout_remaining));
             });
           }},
    Metric{{"culvert_audit_lines_total", "counter",
            "Server: lines of the audit log, by what became of them; suppressed are refusals "
            "beyond what is written of them."},
           [](Writer& o) {
             add_audit(o, [&o](const AuditInfo& audit) {
               o.add(audit.lines_written, "outcome=\"written\"");
               o.add(audit.lines_lost, "outcome=\"lost\"");
               o.add(audit.refusals_suppressed, "outcome=\"suppressed\"");
             });
           }},
    Metric{{"culvert_audit_waiting_bytes", "gauge", "Server: of the audit log, not yet written."},
           [](Writer& o) {
             add_audit(o, [&o](const AuditInfo& audit) { o.add(audit.bytes_waiting); });
           }},
    Metric{{"culvert_audit_failing", "gauge", "Server: 1 while the audit log cannot be written."},
           [](Writer& o) {
             add_audit(o, [&o](const AuditInfo& audit) { o.add(audit.failure.empty() ? 0 : 1); });
           }},
    Metric{{"culvert_paths", "gauge", "Paths that carry connections now."},
           [](Writer& o) { o.add(o.snapshot.paths.size()); }},
    Metric{{"culvert_path_rtt_seconds", "gauge", "Smoothed round-trip time of a path."},
           [](Writer& o) { o.add_paths([](const PathInfo& p) { return in_seconds(p.rtt); }); }},
    Metric{{"culvert_path_min_rtt_seconds", "gauge", "Least round-trip time of a path so far."},
           [](Writer& o) { o.add_paths([](const PathInfo& p) { return in_seconds(p.min_rtt); }); }},
    Metric{{"culvert_path_congestion_window_bytes", "gauge", "Congestion window of a path."},
           [](Writer& o) {
             o.add_paths([](const PathInfo& p) { return p.congestion_window_bytes; });
           }},
    Metric{{"culvert_path_mtu_bytes", "gauge", "Largest UDP payload found for a path."},
           [](Writer& o) { o.add_paths([](const PathInfo& p) { return p.mtu_bytes; }); }},
    Metric{{"culvert_path_sent_bytes_total", "counter", "UDP payload sent over a path."},
           [](Writer& o) { o.add_paths([](const PathInfo& p) { return p.bytes_sent; }); }},
    Metric{{"culvert_path_received_bytes_total", "counter", "UDP payload received over a path."},
           [](Writer& o) { o.add_paths([](const PathInfo& p) { return p.bytes_received; }); }},
    Metric{{"culvert_path_sent_packets_total", "counter", "QUIC packets sent over a path."},
           [](Writer& o) { o.add_paths([](const PathInfo& p) { return p.packets_sent; }); }},
    Metric{{"culvert_path_received_packets_total", "counter", "QUIC packets received over a path."},
           [](Writer& o) { o.add_paths([](const PathInfo& p) { return p.packets_received; }); }},
    Metric{{"culvert_path_lost_packets_total", "counter",
            "QUIC packets with data that were lost on a path."},
           [](Writer& o) { o.add_paths([](const PathInfo& p) { return p.packets_lost; }); }},
    Metric{{"culvert_tunnels", "gauge", "Client: tunnels by state."}, add_all_tunnels},
    Metric{{"culvert_event_subscribers", "gauge", "Event streams open now."},
           [](Writer& o) { o.add(o.control.subscribers); }},
    Metric{{"culvert_event_subscribers_dropped_total", "counter",
            "Event streams closed because their reader was too slow."},
           [](Writer& o) { o.add(o.control.subscribers_dropped); }},
    Metric{{"culvert_events_dropped_total", "counter",
            "Events left out because too many came at once."},
           [](Writer& o) { o.add(o.control.events_dropped); }},
    Metric{{"culvert_control_connections_dropped_total", "counter",
            "Connections to this interface closed because they were slow, or gave way to others."},
           [](Writer& o) { o.add(o.control.connections_dropped); }},
    Metric{{"culvert_control_hosts_refused_total", "counter",
            "Requests to --metrics-listen refused because they named another host."},
           [](Writer& o) { o.add(o.control.hosts_refused); }},
};

bool begins_metric(std::size_t row) {
  return row == 0 || counter_rows()[row].metric != counter_rows()[row - 1].metric;
}

MetricInfo info_of(const CounterRow& row) {
  return {row.metric, row.type, row.help};
}

}  // namespace

std::span<const MetricInfo> metrics() {
  static const std::vector<MetricInfo> infos = [] {
    std::vector<MetricInfo> list;
    for (const Metric& metric : kMetrics) list.push_back(metric.info);
    for (std::size_t i = 0; i < counter_rows().size(); ++i) {
      if (begins_metric(i)) list.push_back(info_of(counter_rows()[i]));
    }
    return list;
  }();
  return infos;
}

std::string metrics_text(const Snapshot& snapshot, const ControlCounters& control) {
  Writer out(snapshot, control);
  for (const Metric& metric : kMetrics) {
    out.begin(metric.info);
    metric.write(out);
  }
  for (std::size_t i = 0; i < counter_rows().size(); ++i) {
    if (begins_metric(i)) out.begin(info_of(counter_rows()[i]));
    out.add_counter(counter_rows()[i]);
  }
  return std::move(out.text);
}

}  // namespace culvert::control
