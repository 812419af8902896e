#include "base/log.h"

#include <iterator>

namespace culvert {
namespace {

class NullSink final : public LogSink {
 public:
  void write(LogLevel, std::string_view, std::string_view) override {}
};

}  // namespace

std::string_view to_string(LogLevel level) {
  switch (level) {
    case LogLevel::error:
      return "error";
    case LogLevel::warn:
      return "warn";
    case LogLevel::info:
      return "info";
    case LogLevel::debug:
      return "debug";
    case LogLevel::trace:
      return "trace";
  }
  return "unknown";
}

std::optional<LogLevel> log_level_of(std::string_view name) {
  for (const LogLevel level :
       {LogLevel::error, LogLevel::warn, LogLevel::info, LogLevel::debug, LogLevel::trace}) {
    if (to_string(level) == name) return level;
  }
  return std::nullopt;
}

void Logger::write(LogLevel level, std::string_view area, fmt::string_view format,
                   fmt::format_args args) {
  fmt::memory_buffer line;
  if (!name_.empty()) fmt::format_to(std::back_inserter(line), "{}: ", name_);
  fmt::vformat_to(std::back_inserter(line), format, args);
  sink_.write(level, area, {line.data(), line.size()});
}

Logger& null_logger() {
  static NullSink sink;
  static Logger logger(sink, LogLevel::error);
  return logger;
}

}  // namespace culvert
