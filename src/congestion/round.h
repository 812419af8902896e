// Rounds of a sender: one ends when a packet that was sent after its beginning is acknowledged.
// Sans-I/O, O(1).
#pragma once

#include <algorithm>
#include <cstdint>

namespace culvert::congestion {

class Round {
 public:
  void on_acked(std::uint64_t bytes, bool is_app_limited) {
    acked_ += static_cast<double>(bytes);
    is_app_limited_ |= is_app_limited;
  }
  void on_lost(std::uint64_t bytes) { lost_ += static_cast<double>(bytes); }
  // It was only late.
  void on_found(std::uint64_t bytes) { lost_ = std::max(lost_ - static_cast<double>(bytes), 0.0); }
  // Whether the acknowledgement of a packet that was sent when so many bytes had been delivered
  // ends it.
  [[nodiscard]] bool is_ended_by(std::uint64_t prior_delivered) const {
    return prior_delivered >= ends_at_;
  }
  // `delivered` bytes so far.
  void begin_next(std::uint64_t delivered, bool is_app_limited) {
    ends_at_ = delivered;
    ++number_;
    acked_ = lost_ = 0;
    is_app_limited_ = is_app_limited;
  }

  [[nodiscard]] std::uint64_t number() const { return number_; }
  // Bytes of it.
  [[nodiscard]] double acked() const { return acked_; }
  [[nodiscard]] double lost() const { return lost_; }
  // There was not always something to send.
  [[nodiscard]] bool is_app_limited() const { return is_app_limited_; }

 private:
  std::uint64_t number_ = 0;
  std::uint64_t ends_at_ = 0;
  double acked_ = 0;
  double lost_ = 0;
  bool is_app_limited_ = false;
};

}  // namespace culvert::congestion
