// What has arrived at a UDP socket of a flow, a turn's worth of it. Private to drive/.
#pragma once

#include "base/datagram.h"
#include "base/limits.h"
#include "ports/ports.h"

#include <array>
#include <span>

namespace culvert::flow {

// Calls `take` with the path and the payload of each datagram. `take` does not close the port.
template <typename Take>
void take_datagrams(UdpPort& port, Take take) {
  std::array<RxDatagram, 16> batch;
  for (std::size_t taken = 0; taken < limits::kMessagesPerTurn;) {
    const std::size_t count = port.recv_batch(batch);
    if (count == 0) return;
    taken += count;
    for (const RxDatagram& datagram : std::span(batch).first(count)) {
      for_each_segment(datagram, [&](ByteView payload) { take(datagram.path, payload); });
    }
  }
}

}  // namespace culvert::flow
