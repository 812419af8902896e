// Somebody with QUIC, TLS and a key of his own, but no credential: dials a server from any
// number of addresses and says on its streams whatever a test likes.
#pragma once

#include "drive/worker.h"
#include "sim/network.h"
#include "sim/sim_host.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace culvert::sim {

class Stranger;

// One connection of his. Lives as long as its Stranger.
class Visit final : public drive::ConnectionHandler {
 public:
  Visit(Stranger& stranger, std::size_t number) : number(number), stranger_(stranger) {}

  // Opens a stream if the server grants one, and sends.
  quic::Stream* open(ByteView bytes, bool with_fin = false);
  void send(quic::Stream& stream, ByteView bytes, bool with_fin = false);
  void close(Instant now);
  [[nodiscard]] bool is_closed() const { return connection == nullptr; }

  void on_event(Instant now, quic::Event& event) override;
  void on_readable(Instant now, quic::Stream& stream) override;
  void on_writable(Instant, quic::Stream&) override {}
  void on_datagram(Instant, ByteView) override {}

  std::size_t number;
  quic::Connection* connection = nullptr;  // null once it is over
  bool is_established = false;
  bool has_places = false;  // the server grants streams again
  Bytes received;           // of all streams
  std::vector<std::uint64_t> resets;
  std::optional<quic::Closed> end;

 private:
  Stranger& stranger_;
};

class Stranger final {
 public:
  Stranger(Network& network, Logger& log, const std::string& name, std::vector<IpAddress> addresses,
           const LinkConfig& up, const LinkConfig& down);
  ~Stranger();

  Visit& visit(const SocketAddress& server, const crypto::EndpointId& id,
               const std::string& alpn = "culvert/1", std::size_t address = 0);

  [[nodiscard]] drive::Worker& worker() { return *worker_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Visit>>& visits() const { return visits_; }
  // What follows from the transport's news; from inside the visit's own callbacks.
  std::function<void(Instant, Visit&)> on_established = [](Instant, Visit&) {};
  std::function<void(Instant, Visit&)> on_ended = [](Instant, Visit&) {};

 private:
  Machine& machine_;
  SimHost host_;
  std::vector<IpAddress> addresses_;
  std::unique_ptr<drive::Worker> worker_;
  std::vector<std::unique_ptr<Visit>> visits_;
};

}  // namespace culvert::sim
