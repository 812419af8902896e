// Log lines to standard error, each with one write(): lines of threads do not mix.
//
//   human   12:34:56.789 info  path: direct 192.0.2.1:4433 rtt=12ms      (coloured on a tty)
//   json    {"time":"2026-01-02T03:04:05.678Z","level":"info","area":"path","message":"..."}
#pragma once

#include "base/log.h"

#include <string>

namespace culvert::net {

enum class LogFormat : std::uint8_t { human, json };

class StderrSink final : public LogSink {
 public:
  explicit StderrSink(LogFormat format);
  void write(LogLevel level, std::string_view area, std::string_view line) override;

 private:
  LogFormat format_;
  bool has_colour_;
};

// The parts that need no terminal, for tests. `milliseconds` since 1970.
[[nodiscard]] std::string format_human(std::int64_t milliseconds, LogLevel level,
                                       std::string_view area, std::string_view line,
                                       bool has_colour);
[[nodiscard]] std::string format_json(std::int64_t milliseconds, LogLevel level,
                                      std::string_view area, std::string_view line);

}  // namespace culvert::net
