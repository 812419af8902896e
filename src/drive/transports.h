// A worker's ways out: its UDP socket, and what reaches peers through a relay or a TURN server.
// Every batch goes to the one of its path's kind. Each takes what it can when it can: one that is
// blocked keeps its own packets waiting and holds up no other's.
#pragma once

#include "base/mapped_address.h"
#include "ports/ports.h"
#include "quic/tx_builder.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace culvert::drive {

class Transports {
 public:
  // The transport is the caller's, and stays until it is removed. Datagrams of more bytes than it
  // can carry are dropped, as a wire would: path MTU discovery finds what fits (RFC 8899).
  void set(PathKind kind, Transport& transport, std::size_t max_datagram_bytes);
  // What waited for it is lost.
  void remove(PathKind kind);

  // Sends all that `tx` holds, and clears it. What a blocked transport does not take waits here, in
  // order, up to limits::kTransportBacklog bytes; what is beyond is dropped.
  void send(quic::TxBuilder& tx);
  [[nodiscard]] bool has_blocked() const { return blocked_ > 0; }
  // Who has packets for there had better keep them.
  [[nodiscard]] bool is_blocked(const IpAddress& remote) const {
    return way_of(path_kind_of(remote)).is_blocked;
  }
  // It takes datagrams again; what waited leaves first. False: it is blocked anew.
  bool on_writable(PathKind kind);

  // Datagrams for which there was no transport or no room, or that were too large.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  struct Way {
    Transport* transport = nullptr;
    std::size_t max_datagram_bytes = 0;
    bool is_blocked = false;
    std::unique_ptr<quic::TxBuilder> waiting{};  // made when it is blocked for the first time
    std::size_t waiting_sent = 0;                // batches of it that have left
  };
  [[nodiscard]] Way& way_of(PathKind kind) { return ways_[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] const Way& way_of(PathKind kind) const {
    return ways_[static_cast<std::size_t>(kind)];
  }
  void send_run(PathKind kind, std::span<const TxBatch> batches);
  void send_fitting(Way& way, std::span<const TxBatch> batches);
  void keep(Way& way, std::span<const TxBatch> batches);
  void drop(std::span<const TxBatch> batches);

  std::array<Way, kPathKinds> ways_;
  std::size_t blocked_ = 0;  // of them
  std::uint64_t dropped_ = 0;
};

}  // namespace culvert::drive
