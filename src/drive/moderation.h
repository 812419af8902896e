// How long a worker lets datagrams gather before it looks again. On a path of 100 Mbit/s a packet
// comes every 120 us: to wake up for each of them, acknowledge it and pass its bytes on costs
// several times what moving the bytes does. A part of a round trip that is small to the peers is
// long enough to handle many together. Pure.
#pragma once

#include "base/time.h"

#include <cstddef>

namespace culvert::drive {

class Moderation {
 public:
  // A turn has handled so many datagrams, of connections whose shortest round trip is this.
  void on_turn(Instant now, std::size_t datagrams, Duration round_trip);
  // What arrives after this turn may wait so long. Zero: it is handled at once, because it is
  // little, or a peer is near.
  [[nodiscard]] Duration rest() const { return rest_; }

 private:
  Instant since_{};
  std::size_t datagrams_ = 0;
  Duration nearest_ = Duration::max();
  Duration rest_{};
};

}  // namespace culvert::drive
