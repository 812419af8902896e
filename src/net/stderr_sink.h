// Log lines to standard error, each with one write(): lines of threads do not mix. A reader that
// does not read (a pager, a stopped terminal) holds nothing up: after a moment lines are left out,
// until it reads again, and their number is said.
//
//   human   12:34:56.789 info  path: direct 192.0.2.1:4433 rtt=12ms      (coloured on a tty)
//   json    {"time":"2026-01-02T03:04:05.678Z","level":"info","area":"path","message":"..."}
#pragma once

#include "base/log.h"
#include "base/words.h"

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace culvert::net {

enum class LogFormat : std::uint8_t { human, json };

}  // namespace culvert::net

namespace culvert {

template <>
inline constexpr std::array<std::string_view, 2> kWords<net::LogFormat>{"human", "json"};

}  // namespace culvert

namespace culvert::net {

class StderrSink final : public LogSink {
 public:
  // `fd` is another one in tests.
  explicit StderrSink(LogFormat format, int fd = kStandardError);
  void write(LogLevel level, std::string_view area, std::string_view line) override;

 private:
  static constexpr int kStandardError = 2;

  [[nodiscard]] std::string formatted(LogLevel level, std::string_view area,
                                      std::string_view line) const;
  [[nodiscard]] bool has_room();
  void put(std::string_view text) const;

  LogFormat format_;
  int fd_;
  bool has_colour_;
  std::mutex mutex_;        // between asking for room and writing; of what follows
  std::uint64_t lost_ = 0;  // since there was room
};

// The parts that need no terminal, for tests. `milliseconds` since 1970.
[[nodiscard]] std::string format_human(std::int64_t milliseconds, LogLevel level,
                                       std::string_view area, std::string_view line,
                                       bool has_colour);
[[nodiscard]] std::string format_json(std::int64_t milliseconds, LogLevel level,
                                      std::string_view area, std::string_view line);

}  // namespace culvert::net
