// Logging facade. Lines go to a sink that the owner of the program installs in a
// Logger; pure modules get a Logger& and never know where lines go or what time it is.
//
//   log_.info("path", "direct {} rtt={}", remote, rtt);
//
// One line, key=value pairs last; `info` is read by a user, `debug` by a developer.
// Secrets are Secret<T> and print as "<redacted>". Per-packet events are counters
// or qlog, never log lines.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace culvert {

enum class LogLevel : std::uint8_t { error, warn, info, debug, trace };
[[nodiscard]] std::string_view to_string(LogLevel level);
[[nodiscard]] std::optional<LogLevel> log_level_of(std::string_view name);

class LogSink {
 public:
  virtual ~LogSink() = default;
  // Called from any thread that logs.
  virtual void write(LogLevel level, std::string_view area, std::string_view line) = 0;
};

class Logger {
 public:
  Logger(LogSink& sink, LogLevel level) : sink_(sink), own_level_(level) {}
  // Writes and decides as `parent`, which outlives it; each line begins with "NAME: ".
  Logger(Logger& parent, std::string name)
      : sink_(parent.sink_), level_(parent.level_), name_(std::move(name)) {}

  [[nodiscard]] bool is_enabled(LogLevel level) const {
    return level <= level_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] LogLevel level() const { return level_.load(std::memory_order_relaxed); }
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }

  template <typename... Args>
  void log(LogLevel level, std::string_view area, fmt::format_string<Args...> format,
           Args&&... args) {
    if (is_enabled(level)) write(level, area, format, fmt::make_format_args(args...));
  }
  template <typename... Args>
  void error(std::string_view area, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::error, area, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void warn(std::string_view area, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::warn, area, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void info(std::string_view area, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::info, area, format, std::forward<Args>(args)...);
  }
  template <typename... Args>
  void debug(std::string_view area, fmt::format_string<Args...> format, Args&&... args) {
    log(LogLevel::debug, area, format, std::forward<Args>(args)...);
  }

 private:
  void write(LogLevel level, std::string_view area, fmt::string_view format, fmt::format_args args);

  LogSink& sink_;
  std::atomic<LogLevel> own_level_{LogLevel::info};
  std::atomic<LogLevel>& level_ = own_level_;
  std::string name_;
};

// A logger that drops everything; for tests and for cores used by themselves.
[[nodiscard]] Logger& null_logger();

}  // namespace culvert
