// Notices that a path no longer carries packets as large as it did: its MTU has become smaller
// somewhere in the middle, and nobody says so (RFC 8899 4.3). Then everything small arrives, so the
// connection lives, and no flow gets on. Until a large packet has arrived again packets are as
// small as every path must carry; one that is not tries that now and then. Sans-I/O, O(1).
#pragma once

#include "base/time.h"

#include <algorithm>
#include <cstddef>

namespace culvert::quic {

class BlackHole {
 public:
  // RFC 9000 14.
  static constexpr std::size_t kSafeBytes = 1200;

  void on_acked(std::size_t bytes) {
    if (bytes > kSafeBytes) *this = {};
  }
  // Probes of the path's MTU left out. What is lost at once counts once: that is a queue.
  void on_lost(Instant now, Instant sent, std::size_t bytes) {
    if (bytes <= kSafeBytes || sent < counted_at_) return;
    counted_at_ = now;
    if (++times_lost_ == kTimesLost) begin(now);
  }
  // Nothing at all is acknowledged: so many probes (RFC 9002 6.2.4) have been sent for it.
  void on_probe_timeouts(Instant now, std::size_t in_a_row) {
    if (in_a_row >= kTimeouts && is_large_on_its_way_ && !is_suspected_) begin(now);
  }
  [[nodiscard]] bool is_suspected() const { return is_suspected_; }
  // The size of the next packet, of which the path is said to carry so much.
  [[nodiscard]] std::size_t limit(Instant now, std::size_t path_bytes) const {
    return is_suspected_ && now < try_at_ ? std::min(path_bytes, kSafeBytes) : path_bytes;
  }
  void on_sent(Instant now, std::size_t bytes) {
    if (bytes <= kSafeBytes) return;
    is_large_on_its_way_ = true;
    if (!is_suspected_) return;
    pause_ = std::min(2 * pause_, kMostPause);
    try_at_ = now + pause_;
  }

 private:
  // In a row, with no large packet that arrived between: by chance hardly ever.
  static constexpr int kTimesLost = 3;
  static constexpr std::size_t kTimeouts = 2;
  static constexpr Duration kFirstPause = std::chrono::milliseconds(500);
  static constexpr Duration kMostPause = std::chrono::seconds(60);

  void begin(Instant now) {
    is_suspected_ = true;
    pause_ = kFirstPause;
    try_at_ = now + pause_;
  }

  bool is_suspected_ = false;
  bool is_large_on_its_way_ = false;
  int times_lost_ = 0;
  Instant counted_at_{};
  Instant try_at_{};
  Duration pause_{};
};

}  // namespace culvert::quic
