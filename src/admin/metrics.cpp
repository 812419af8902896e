#include "admin/metrics.h"

#include "base/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <variant>
#include <vector>

namespace culvert::admin {
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
  explicit Writer(const Snapshot& its_snapshot) : snapshot(its_snapshot) {}

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
  // The metrics of `rows` of an Owner; `each` gives those that there are, and their labels.
  template <typename Owner, typename Each>
  void add_rows(Each each) {
    std::string_view before;
    for (const CounterRow<Owner>& row : counter_rows<Owner>()) {
      if (row.metric.empty()) continue;
      if (row.metric != before) begin({row.metric, to_string(row.kind), row.help});
      before = row.metric;
      each(row, [&](const Owner& owner, std::string_view labels) {
        std::visit(
            [&](auto number) {
              add(number, fmt::format("{}{}{}", labels,
                                      labels.empty() || row.label.empty() ? "" : ",", row.label));
            },
            row.field.read(owner));
      });
    }
  }
  // Of what is there once, or not at all.
  template <typename Owner>
  void add_rows_of(const Owner* owner) {
    add_rows<Owner>([owner](const auto&, const auto& write) {
      if (owner != nullptr) write(*owner, "");
    });
  }

  const Snapshot& snapshot;
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

// One of several servers has its name as label.
void add_role(Writer& out) {
  out.add_rows<drive::Counters>([&out](const auto& row, const auto& write) {
    if (row.by == CountedBy::server || !out.has_servers()) return write(out.snapshot.counters, "");
    for (const ServerInfo& server : out.snapshot.servers) {
      write(server.counters, fmt::format("server=\"{}\"", escaped(server.name)));
    }
  });
}

void add_paths(Writer& out) {
  const std::size_t count = std::min(out.snapshot.paths.size(), limits::kMaxMetricPaths);
  out.add_rows<quic::ConnectionStats>([&](const auto&, const auto& write) {
    for (const PathInfo& path : std::span(out.snapshot.paths).first(count)) {
      const std::string server =
          path.server.empty() ? "" : fmt::format("server=\"{}\",", escaped(path.server));
      write(path.stats, fmt::format("{}session=\"{}\",local=\"{}\",remote=\"{}\"", server,
                                    path.session, escaped(path.local), escaped(path.remote)));
    }
  });
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
    Metric{{"culvert_paths", "gauge", "Paths that carry connections now."},
           [](Writer& o) { o.add(o.snapshot.paths.size()); }},
    Metric{{"culvert_tunnels", "gauge", "Client: tunnels by state."}, add_all_tunnels},
};

template <typename Owner>
void add_infos(std::vector<MetricInfo>& infos) {
  for (const CounterRow<Owner>& row : counter_rows<Owner>()) {
    const bool is_new = !row.metric.empty() && (infos.empty() || infos.back().name != row.metric);
    if (is_new) infos.push_back({row.metric, to_string(row.kind), row.help});
  }
}

}  // namespace

std::span<const MetricInfo> metrics() {
  static const std::vector<MetricInfo> infos = [] {
    std::vector<MetricInfo> list;
    for (const Metric& metric : kMetrics) list.push_back(metric.info);
    add_infos<session::AuthMetrics>(list);
    add_infos<AuditInfo>(list);
    add_infos<quic::ConnectionStats>(list);
    add_infos<ControlCounters>(list);
    add_infos<drive::Counters>(list);
    return list;
  }();
  return infos;
}

std::string metrics_text(const Snapshot& snapshot, const ControlCounters& control) {
  Writer out(snapshot);
  for (const Metric& metric : kMetrics) {
    out.begin(metric.info);
    metric.write(out);
  }
  out.add_rows_of(snapshot.auth ? &*snapshot.auth : nullptr);
  out.add_rows_of(snapshot.audit ? &*snapshot.audit : nullptr);
  add_paths(out);
  out.add_rows_of(&control);
  add_role(out);
  return std::move(out.text);
}

}  // namespace culvert::admin
