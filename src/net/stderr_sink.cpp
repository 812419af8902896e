#include "net/stderr_sink.h"

#include "base/printable.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <ctime>

#include <limits.h>
#include <poll.h>
#include <unistd.h>

namespace culvert::net {
namespace {

// What a pipe that has room takes at once; longer lines are cut.
constexpr std::size_t kMaxLineBytes = PIPE_BUF;
// For a reader that is slow, not gone: until the first line is left out.
constexpr int kPatienceMs = 20;

std::string_view colour_of(LogLevel level) {
  switch (level) {
    case LogLevel::error:
      return "\033[31m";
    case LogLevel::warn:
      return "\033[33m";
    case LogLevel::info:
      return "\033[32m";
    default:
      return "\033[2m";
  }
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    if (unprintable_prefix(text) > 0) {
      // Of one byte: a control character, or no UTF-8, which is no JSON either.
      const auto byte = static_cast<unsigned char>(text.front());
      fmt::format_to(std::back_inserter(out), "\\u{:04x}",
                     bytes == 1 && byte < 0x80 ? unsigned{byte} : 0xfffdU);
    } else {
      if (text.front() == '"' || text.front() == '\\') out += '\\';
      out += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  out += '"';
}

}  // namespace

std::string format_human(std::int64_t milliseconds, LogLevel level, std::string_view area,
                         std::string_view line, bool has_colour) {
  const std::time_t seconds = milliseconds / 1000;
  std::tm local{};
  ::localtime_r(&seconds, &local);
  std::string out =
      fmt::format("{:02}:{:02}:{:02}.{:03} {}{:<5}{} {}: ", local.tm_hour, local.tm_min,
                  local.tm_sec, milliseconds % 1000, has_colour ? colour_of(level) : "",
                  to_string(level), has_colour ? "\033[0m" : "", area);
  // Peers' words may be in a line: control characters must not reach a terminal.
  out += printable(line, ' ');
  out += '\n';
  return out;
}

std::string format_json(std::int64_t milliseconds, LogLevel level, std::string_view area,
                        std::string_view line) {
  std::string out = fmt::format("{{\"time\":\"{:%FT%T}.{:03}Z\",\"level\":\"{}\",\"area\":",
                                fmt::gmtime(static_cast<std::time_t>(milliseconds / 1000)),
                                milliseconds % 1000, to_string(level));
  append_json_string(out, area);
  out += ",\"message\":";
  append_json_string(out, line);
  out += "}\n";
  return out;
}

StderrSink::StderrSink(LogFormat format, int fd)
    : format_(format),
      fd_(fd),
      has_colour_(::isatty(fd) == 1 && std::getenv("NO_COLOR") == nullptr) {}

std::string StderrSink::formatted(LogLevel level, std::string_view area,
                                  std::string_view line) const {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const std::int64_t milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  for (;; line = line.substr(0, line.size() / 2)) {
    std::string text = format_ == LogFormat::json
                           ? format_json(milliseconds, level, area, line)
                           : format_human(milliseconds, level, area, line, has_colour_);
    if (text.size() <= kMaxLineBytes || line.empty()) return text;
  }
}

// A pipe has room for PIPE_BUF bytes when it says so, a file always.
bool StderrSink::has_room() {
  pollfd poll_fd{.fd = fd_, .events = POLLOUT, .revents = 0};
  const int patience_ms = lost_ == 0 ? kPatienceMs : 0;  // once, not for every line
  return ::poll(&poll_fd, 1, patience_ms) != 0;
}

void StderrSink::write(LogLevel level, std::string_view area, std::string_view line) {
  const std::string text = formatted(level, area, line);
  const std::scoped_lock lock(mutex_);
  if (lost_ > 0 && has_room()) {
    put(formatted(LogLevel::warn, "log",
                  fmt::format("{} lines were left out: nobody read them", lost_)));
    lost_ = 0;
  }
  if (lost_ == 0 && has_room()) {
    put(text);
  } else {
    ++lost_;
  }
}

void StderrSink::put(std::string_view text) const {
  [[maybe_unused]] const ssize_t written = ::write(fd_, text.data(), text.size());
}

}  // namespace culvert::net
