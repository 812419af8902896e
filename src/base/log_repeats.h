// Keeps lines that repeat from filling the log: the first is written at once; those like it are
// counted, and their number is written after a while that doubles each time. A line that was not
// seen for limits::kLogRepeatForget is news again. Pure; who owns it writes the lines.
#pragma once

#include "base/limits.h"
#include "base/time.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace culvert {

class LogRepeats {
 public:
  struct Summary {
    std::string line;         // empty: of many lines, for which there was no room
    std::uint64_t count = 0;  // since it was written, or since the last summary
    Duration time{};          // ... which was this long ago

    [[nodiscard]] std::string text() const;
  };

  // One more such line: shall it be written?
  [[nodiscard]] bool admits(Instant now, std::string_view line);
  // When poll_summary() has something to do; kNever: nothing is counted.
  [[nodiscard]] Instant next_timeout() const;
  // Call until empty.
  [[nodiscard]] std::optional<Summary> poll_summary(Instant now);
  // The same for the end, when no time is left to wait for.
  [[nodiscard]] std::optional<Summary> poll_rest(Instant now);

 private:
  struct Entry {
    std::uint64_t count = 0;
    Instant counts_since{};
    Instant last_seen{};
    Duration interval = limits::kLogRepeatFirst;
  };

  [[nodiscard]] static Instant due(const Entry& entry);
  [[nodiscard]] static Summary take(Instant now, std::string_view line, Entry& entry);

  std::map<std::string, Entry, std::less<>> entries_;  // limits::kMaxLogRepeats, "" among them
};

}  // namespace culvert
