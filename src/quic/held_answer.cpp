#include "quic/held_answer.h"

#include <algorithm>

namespace culvert::quic {

void HeldAnswer::set_round_trip(Duration round_trip) {
  may_go_unanswered_ = static_cast<std::size_t>(
      std::clamp<Duration::rep>(round_trip / kRoundTripForEach, 1, kMostUnanswered));
}

void HeldAnswer::on_received(Instant now) {
  if (unanswered_++ == 0) due_ = now + kHold;
}

void HeldAnswer::on_written() {
  unanswered_ = 0;
  is_urgent_ = false;
}

}  // namespace culvert::quic
