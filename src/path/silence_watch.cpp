#include "path/silence_watch.h"

#include <algorithm>
#include <utility>

namespace culvert::path {
namespace {

// Received between two looks: fewer are answers, keep-alives, a keystroke.
constexpr std::uint64_t kPacketsOfAFlow = 3;

}  // namespace

void SilenceWatch::begin(Instant now) {
  *this = {};
  last_life_ = now;
}

SilenceWatch::News SilenceWatch::look(Instant now, const SignsOfLife& life, Duration patience) {
  const bool has_news = life.packets_received != packets_seen_;
  const bool was_waiting = std::exchange(is_waiting_, life.bytes_in_flight > 0);
  const bool was_sending =
      std::exchange(was_sending_, life.packets_received - packets_seen_ >= kPacketsOfAFlow);
  packets_seen_ = life.packets_received;
  if (has_news || !was_waiting) {  // what is outstanding may have left a moment ago
    last_life_ = now;
    if (std::exchange(is_silent_, false)) return News::alive_again;
    if (!has_news && was_sending && !is_waiting_) return News::pause;
  } else if (!is_silent_ && now - last_life_ >= std::max(patience, 3 * life.probe_timeout)) {
    is_silent_ = true;
    return News::silent;
  }
  return News::none;
}

Duration SilenceWatch::next_look(Duration patience) const {
  return is_waiting_ ? patience / 4 : patience;
}

}  // namespace culvert::path
