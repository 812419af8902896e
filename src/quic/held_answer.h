// How long an acknowledgement waits for something to travel with. Sans-I/O.
//
// ngtcp2 would wait an eighth of the round trip, which on short paths is less than any answer
// takes: every request and response would cost two packets more, and two wake-ups. A second packet
// ends the wait, as RFC 9000 13.2.2 wants, and the peer hears of the delay in the ACK frame. On
// long paths, where the wait is nothing, it goes on for some packets more: the sender of a bulk
// flow has an acknowledgement for every ten packets instead of two to deal with.
#pragma once

#include "base/time.h"

#include <cstddef>

namespace culvert::quic {

class HeldAnswer {
 public:
  static constexpr Duration kHold = std::chrono::milliseconds(1);
  static constexpr std::size_t kMostUnanswered = 9;
  static constexpr Duration kRoundTripForEach = std::chrono::milliseconds(2);

  void set_round_trip(Duration round_trip);
  // A datagram was read.
  void on_received(Instant now);
  // Something is to be said that is no stream's and no DATAGRAM: it takes the answer along at once.
  void hurry() { is_urgent_ = true; }
  // Packets are being written: the answer goes with them, or there was none to give.
  void on_written();

  // Whether there is an answer, and nothing but its time makes it leave.
  [[nodiscard]] bool may_wait() const {
    return unanswered_ > 0 && unanswered_ <= may_go_unanswered_ && !is_urgent_;
  }
  // Until when, if may_wait().
  [[nodiscard]] Instant due() const { return due_; }

 private:
  std::size_t unanswered_ = 0;  // datagrams received since packets were last written
  std::size_t may_go_unanswered_ = 1;
  Instant due_ = kNever;
  bool is_urgent_ = false;
};

}  // namespace culvert::quic
