#include "base/log_repeats.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert {

std::string LogRepeats::Summary::text() const {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(time).count();
  if (line.empty()) return fmt::format("{} other lines like these in {} s", count, seconds);
  return fmt::format("{} ({} times more in {} s)", line, count, seconds);
}

bool LogRepeats::admits(Instant now, std::string_view line) {
  std::erase_if(entries_, [now](const auto& entry) {
    return entry.second.count == 0 && now - entry.second.last_seen >= limits::kLogRepeatForget;
  });
  auto found = entries_.find(line);
  const bool is_new = found == entries_.end();
  if (is_new) {
    // The last place is for all that find none, and says nothing of its own.
    const bool has_room = entries_.size() + 1 < limits::kMaxLogRepeats;
    const auto place = entries_.try_emplace(has_room ? std::string(line) : std::string());
    found = place.first;
    if (place.second) found->second.counts_since = now;
  }
  Entry& entry = found->second;
  entry.last_seen = now;
  if (is_new && !found->first.empty()) return true;
  ++entry.count;
  return false;
}

Instant LogRepeats::due(const Entry& entry) {
  if (entry.count == 0) return kNever;
  return std::min(entry.counts_since + entry.interval, entry.last_seen + limits::kLogRepeatForget);
}

Instant LogRepeats::next_timeout() const {
  Instant next = kNever;
  for (const auto& [line, entry] : entries_) next = std::min(next, due(entry));
  return next;
}

LogRepeats::Summary LogRepeats::take(Instant now, std::string_view line, Entry& entry) {
  Summary summary{.line = std::string(line),
                  .count = std::exchange(entry.count, 0),
                  .time = now - std::exchange(entry.counts_since, now)};
  entry.interval = std::min(2 * entry.interval, limits::kLogRepeatMost);
  return summary;
}

std::optional<LogRepeats::Summary> LogRepeats::poll_summary(Instant now) {
  for (auto& [line, entry] : entries_) {
    if (due(entry) <= now) return take(now, line, entry);
  }
  return std::nullopt;
}

std::optional<LogRepeats::Summary> LogRepeats::poll_rest(Instant now) {
  for (auto& [line, entry] : entries_) {
    if (entry.count > 0) return take(now, line, entry);
  }
  return std::nullopt;
}

}  // namespace culvert
