// Gathers the datagrams that flows send to their UDP ports in one turn, so that a burst
// for one address leaves as one segmented send.
#pragma once

#include "ports/ports.h"
#include "quic/tx_builder.h"

namespace culvert::drive {

class UdpEgress {
 public:
  UdpEgress();
  // Copies `payload`; it leaves with flush() at the latest. What a full socket refuses is
  // lost, as UDP is: counted in dropped().
  void send(UdpPort& port, const PathId& path, ByteView payload);
  void flush();
  // The port is about to be destroyed.
  void forget(UdpPort& port);
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  quic::TxBuilder builder_;
  UdpPort* port_ = nullptr;
  std::uint64_t dropped_ = 0;
};

}  // namespace culvert::drive
