// Prometheus text exposition format 0.0.4: names begin with culvert_, counters end with
// _total, units are seconds and bytes.
#pragma once

#include "admin/snapshot.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace culvert::admin {

inline constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

struct MetricInfo {
  std::string_view name;
  std::string_view type;  // counter, gauge
  std::string_view help;
};
[[nodiscard]] std::span<const MetricInfo> metrics();

// Paths beyond limits::kMaxMetricPaths have no series of their own.
[[nodiscard]] std::string metrics_text(const Snapshot& snapshot, const ControlCounters& control);

}  // namespace culvert::admin
