// Warnings that anybody can cause again and again: written as LogRepeats says. One per worker.
// Private to drive/.
#pragma once

#include "base/log.h"
#include "base/log_repeats.h"
#include "ports/timer_heap.h"

#include <string_view>

namespace culvert::drive {

class RepeatedWarnings {
 public:
  RepeatedWarnings(TimerHeap& timers, Logger& log) : log_(log), timer_(timers, *this) {}
  ~RepeatedWarnings() {
    while (const auto rest = repeats_.poll_rest(last_)) write(rest->text());
  }
  RepeatedWarnings(const RepeatedWarnings&) = delete;
  RepeatedWarnings& operator=(const RepeatedWarnings&) = delete;

  // The same words for the same thing: what differs each time (a port, a number) is for debug.
  void warn(Instant now, std::string_view line) {
    last_ = now;
    if (repeats_.admits(now, line)) write(line);
    timer_.set(repeats_.next_timeout());
  }

 private:
  void on_timer(Instant now) {
    while (const auto summary = repeats_.poll_summary(now)) write(summary->text());
    timer_.set(repeats_.next_timeout());
  }
  void write(std::string_view line) { log_.warn("flow", "{}", line); }

  Logger& log_;
  LogRepeats repeats_;
  Instant last_{};
  MemberTimer<RepeatedWarnings, &RepeatedWarnings::on_timer> timer_;
};

}  // namespace culvert::drive
