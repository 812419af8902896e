// Packets that counted as lost and have come after all, on paths where packets overtake each
// other. They are no loss; and as long as such come, others may be as late before they count as
// lost and are sent again for nothing (RFC 9002 6.1.2 leaves the threshold open; RFC 8985 6.2 lets
// it grow to a round trip likewise). Sans-I/O, O(1).
#pragma once

#include "base/time.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace culvert::congestion {

class LatePackets {
 public:
  void on_lost(std::int64_t number) { lost_.at(place_of(number)) = mark_of(number); }
  // How long after it was sent one that counted as lost was acknowledged.
  std::optional<Duration> on_acked(Instant now, std::int64_t number, Instant sent) {
    std::uint32_t& lost = lost_.at(place_of(number));
    if (lost != mark_of(number)) return std::nullopt;
    lost = 0;
    const Duration late = now - sent;
    if (late >= latest_ || now - latest_at_ > kRemembered) {
      latest_ = late;
      latest_at_ = now;
    }
    return late;
  }
  // How late a packet may be at least: zero where none was late for a while.
  [[nodiscard]] Duration patience(Instant now, Duration smoothed_rtt) const {
    if (now - latest_at_ > kRemembered) return Duration::zero();
    return std::min(latest_, 2 * smoothed_rtt);
  }

 private:
  // ngtcp2 looks out for no more lost ones than that. One that is overwritten stays lost.
  static constexpr std::size_t kKnown = 256;
  static constexpr Duration kRemembered = std::chrono::seconds(10);

  static std::size_t place_of(std::int64_t number) {
    return static_cast<std::size_t>(number) % kKnown;
  }
  static std::uint32_t mark_of(std::int64_t number) {
    return static_cast<std::uint32_t>(number) + 1;
  }

  std::array<std::uint32_t, kKnown> lost_{};
  Duration latest_{};
  Instant latest_at_{};
};

}  // namespace culvert::congestion
