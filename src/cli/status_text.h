// What `culvert status` and `culvert tunnels list` show in a terminal: pure text out of the
// control interface's JSON. Text from outside is made printable; an answer that lacks a
// member shows it as empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::cli {

// The bodies of the routes of the same names.
struct StatusBodies {
  std::string name{};  // of the instance
  std::string status{};
  std::string paths{};
  std::string sessions{};
  std::string tunnels{};
};

struct StatusStyle {
  bool has_colour = false;
  std::size_t max_rows = 50;  // of each list, a terminal's worth; --json has them all
};

// With `before`, an earlier answer of the same instance, rates since then are shown as well.
[[nodiscard]] std::string status_text(const StatusBodies& bodies, StatusStyle style,
                                      const StatusBodies* before = nullptr);
[[nodiscard]] std::string tunnels_text(std::string_view tunnels, StatusStyle style);

// Columns as wide as their widest cell, two spaces apart; `right` are right-aligned columns.
using Row = std::vector<std::string>;
[[nodiscard]] std::string aligned(const std::vector<Row>& rows,
                                  const std::vector<std::size_t>& right, std::string_view indent);
// "512 B", "1.5 KiB", "12 MiB"
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);
// "850 us", "12.3 ms", "5 s", "3 min 20 s", "2 h 5 min", "4 d 3 h"
[[nodiscard]] std::string human_time(double seconds);

}  // namespace culvert::cli
