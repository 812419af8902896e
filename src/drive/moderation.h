// How long a worker lets datagrams gather before it looks again. On a path of 100 Mbit/s a packet
// comes every 120 us: to wake up for each of them, acknowledge it and pass its bytes on costs
// several times what moving the bytes does. A part of a round trip that is small to the peers is
// long enough to handle many together. Pure.
#pragma once

#include "base/time.h"

#include <algorithm>
#include <cstddef>

namespace culvert::drive {

class Moderation {
 public:
  // In a turn: a datagram came, and a connection has this round trip.
  void note_datagram() { ++datagrams_; }
  void note_round_trip(Duration round_trip) { nearest_ = std::min(nearest_, round_trip); }
  void end_turn(Instant now);
  // What arrives after this turn may wait so long. Zero: it is handled at once, because it is
  // little, or a peer is near.
  [[nodiscard]] Duration rest() const { return rest_; }

 private:
  Instant since_{};
  std::size_t datagrams_ = 0;           // since then
  Duration nearest_ = Duration::max();  // the shortest of their connections
  Duration rest_{};
};

}  // namespace culvert::drive
