// UDP sockets of a simulated machine, as UdpPort.
#pragma once

#include "base/alive.h"
#include "ports/ports.h"
#include "sim/network.h"
#include "sim/sim_host.h"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace culvert::sim {

class SimUdpPort final : public UdpPort, public PacketSink {
 public:
  [[nodiscard]] static Result<std::unique_ptr<UdpPort>> open(SimHost& host,
                                                             const UdpOptions& options,
                                                             UdpHandler& handler);
  ~SimUdpPort() override;

  std::size_t recv_batch(std::span<RxDatagram> out) override;
  UdpSendResult send_batch(std::span<const TxBatch> batches) override;
  // The network routes by source address anyway (Machine::add_interface).
  void pin_sources(std::vector<LocalAddress>) override {}
  SocketAddress local_address() const override;
  void want_refusals(bool is_wanted) override {
    wants_refusals_ = is_wanted;
    refusals_.clear();
  }
  std::optional<UdpRefusal> poll_refusal() override;

  void on_refused(Instant now, const UdpRefusal& refusal) override;
  void deliver(Instant now, Packet packet) override;

 private:
  SimUdpPort(SimHost& host, const UdpOptions& options, UdpHandler& handler);
  void schedule_readable();
  void schedule_writable();

  SimHost& host_;
  Machine& machine_;
  UdpOptions options_;
  UdpHandler& handler_;
  std::uint16_t port_ = 0;
  SeededRng rng_;
  std::deque<Packet> queue_;
  std::deque<UdpRefusal> refusals_;
  bool wants_refusals_ = false;
  std::size_t queued_bytes_ = 0;
  std::vector<Bytes> lent_;  // what the last recv_batch handed out
  bool is_readable_scheduled_ = false;
  bool is_blocked_ = false;
  Alive alive_;
};

}  // namespace culvert::sim
