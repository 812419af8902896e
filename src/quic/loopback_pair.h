// For tests: a client and a server endpoint joined by a virtual wire with virtual time.
#pragma once

#include "base/assert.h"
#include "base/log.h"
#include "base/rng.h"
#include "quic/endpoint.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::quic {

class LoopbackPair {
 public:
  struct Packet {
    PathId path;  // as its receiver sees it
    Ecn ecn = Ecn::not_ect;
    Bytes bytes;
    bool to_server = false;
  };

  // One end: its endpoint, and what a driver would do with events.
  struct Side {
    std::unique_ptr<Endpoint> endpoint;
    std::vector<Connection*> connections;
    std::vector<Closed> closed;
    std::vector<HandshakeCompleted> completed;
    std::vector<PathId> path_changes;
    std::vector<StreamId> stream_closed;
    std::function<void(Connection&, Event&)> on_event = [](Connection&, Event&) {};
    std::function<void(Connection&, Stream&)> on_readable = [](Connection&, Stream&) {};
    std::function<void(Connection&, Stream&)> on_writable = [](Connection&, Stream&) {};
    std::function<void(Connection&, ByteView)> on_datagram = [](Connection&, ByteView) {};
  };

  // Before the sides: endpoints use them to their end.
  buffers::ChunkPool chunks;
  TxBuilder builder{1 << 20};

 private:
  SeededRng client_rng_;
  SeededRng server_rng_;

 public:
  Side client;
  Side server;

  using Tweak = std::function<void(EndpointConfig&)>;

  explicit LoopbackPair(
      const Tweak& tweak = [](EndpointConfig&) {}, std::uint64_t seed = 1)
      : client_rng_(seed * 2 + 1), server_rng_(seed * 2 + 2) {
    client.endpoint = make_endpoint(false, tweak, client_rng_);
    server.endpoint = make_endpoint(true, tweak, server_rng_);
  }

  static crypto::SecretKey client_key() { return key(1); }
  static crypto::SecretKey server_key() { return key(2); }
  static crypto::SecretKey key(std::uint8_t fill) {
    std::array<std::uint8_t, 32> seed;
    seed.fill(fill);
    return crypto::SecretKey::from_seed(seed);
  }

  [[nodiscard]] static EndpointConfig config(bool is_server) {
    EndpointConfig config{.identity = is_server ? server_key() : client_key(),
                          .alpns = {"culvert/1"},
                          .transport = {},
                          .protection = {},
                          .accepts_connections = is_server,
                          .static_secret = Secret(std::array<std::uint8_t, 32>{7}),
                          .key_log = {},
                          .qlog = {}};
    config.transport.initial_streams_bidi = 100;
    return config;
  }

  std::unique_ptr<Endpoint> make_endpoint(bool is_server, const Tweak& tweak, Rng& rng) {
    EndpointConfig made = config(is_server);
    tweak(made);
    auto endpoint = Endpoint::create(std::move(made), rng, null_logger(), chunks);
    CULVERT_ASSERT(endpoint.has_value());
    return std::move(*endpoint);
  }

  static SocketAddress server_address() { return {IpAddress::v4(0x0A000001), 4433}; }
  static SocketAddress client_address(std::uint16_t port = 50'000, std::uint8_t host = 2) {
    return {IpAddress::v4(0x0A000000U + host), port};
  }
  static PathId client_path(std::uint16_t port = 50'000, std::uint8_t host = 2) {
    return {.local = client_address(port, host), .remote = server_address()};
  }

  Connection& connect(std::optional<crypto::EndpointId> peer = {},
                      const std::string& alpn = "culvert/1", std::uint16_t port = 50'000) {
    auto connection = client.endpoint->connect(
        now, client_path(port), {.peer = peer.value_or(server_key().public_key()), .alpn = alpn});
    CULVERT_ASSERT(connection.has_value());
    client.connections.push_back(*connection);
    return **connection;
  }

  // Runs until `is_done` or until nothing can happen within `limit`. True: it is done.
  bool run_until(const std::function<bool()>& is_done, Duration limit = std::chrono::seconds(60)) {
    const Instant deadline = now + limit;
    for (std::size_t step = 0; step < 20'000'000; ++step) {
      drain(client);
      drain(server);
      if (is_done()) return true;
      Instant next = wire.empty() ? kNever : wire.begin()->first;
      for (const Side* side : {&client, &server}) {
        for (const Connection* connection : side->connections) {
          next = std::min(next, connection->next_timeout());
        }
      }
      if (next > deadline) {
        now = deadline;
        return false;
      }
      now = std::max(now, next);
      for (Side* side : {&client, &server}) {
        const auto connections = side->connections;
        for (Connection* connection : connections) {
          if (connection->next_timeout() <= now) connection->handle_timeout(now);
        }
      }
      while (!wire.empty() && wire.begin()->first <= now) {
        auto packet = std::move(wire.begin()->second);
        wire.erase(wire.begin());
        deliver(packet);
      }
    }
    return false;
  }
  void run_for(Duration duration) {
    run_until([] { return false; }, duration);
  }
  bool establish() {
    return run_until([&] { return !client.completed.empty() && !server.completed.empty(); });
  }

  // Hands a datagram to an end now.
  Routing deliver(const Packet& packet) {
    Side& side = packet.to_server ? server : client;
    const Routing routing =
        side.endpoint->handle_datagram(now, packet.path, packet.ecn, packet.bytes, builder);
    collect(side);
    if (const auto* routed = std::get_if<RoutedTo>(&routing)) {
      if (std::ranges::find(side.connections, routed->connection) == side.connections.end()) {
        side.connections.push_back(routed->connection);
      }
    }
    return routing;
  }

  Instant now{std::chrono::seconds(1)};
  Duration delay = std::chrono::milliseconds(5);
  std::size_t mtu = 65'535;  // larger datagrams vanish
  // Sees and may change every datagram that is sent; false loses it.
  std::function<bool(Packet&)> filter = [](Packet&) { return true; };
  // The sender's kernel: true refuses a batch as a whole.
  std::function<bool(const TxBatch&)> refuses = [](const TxBatch&) { return false; };
  std::multimap<Instant, Packet> wire;
  std::size_t datagrams_sent = 0;
  std::size_t bytes_to_client = 0;
  std::size_t bytes_to_server = 0;

 private:
  void drain(Side& side) {
    for (bool is_again = true; is_again;) {
      is_again = false;
      const auto connections = side.connections;
      for (Connection* connection : connections) {
        poll_application(side, *connection);
        while (connection->poll_transmit(now, 1 << 18, builder)) {
          collect(side);
          is_again = true;
        }
        collect(side);
        if (connection->is_drained()) {
          poll_application(side, *connection);
          side.endpoint->remove(*connection);
          std::erase(side.connections, connection);
        }
      }
    }
  }

  void poll_application(Side& side, Connection& connection) {
    for (bool is_again = true; is_again;) {
      is_again = false;
      while (auto event = connection.poll_event()) {
        is_again = true;
        if (std::holds_alternative<HandshakeCompleted>(*event)) {
          connection.share_budget(side.endpoint->make_session_budget());
        }
        side.on_event(connection, *event);
        if (auto* closed = std::get_if<Closed>(&*event)) side.closed.push_back(*closed);
        if (auto* done = std::get_if<HandshakeCompleted>(&*event)) side.completed.push_back(*done);
        if (auto* moved = std::get_if<PathChanged>(&*event)) {
          side.path_changes.push_back(moved->path);
        }
        if (auto* over = std::get_if<StreamClosed>(&*event)) {
          side.stream_closed.push_back(over->stream->id);
        }
      }
      while (Stream* stream = connection.poll_readable()) {
        is_again = true;
        side.on_readable(connection, *stream);
      }
      while (Stream* stream = connection.poll_writable()) {
        is_again = true;
        side.on_writable(connection, *stream);
      }
      while (auto datagram = connection.poll_datagram()) side.on_datagram(connection, *datagram);
    }
  }

  // Puts what an end has written on the wire.
  void collect(const Side& side) {
    const bool to_server = &side == &client;
    for (const TxBatch& batch : builder.batches()) {
      if (refuses(batch)) continue;
      for_each_segment(batch, [&](ByteView bytes) {
        ++datagrams_sent;
        (to_server ? bytes_to_server : bytes_to_client) += bytes.size();
        Packet packet{.path = {.local = batch.path.remote, .remote = batch.path.local},
                      .ecn = batch.ecn,
                      .bytes = Bytes(bytes.begin(), bytes.end()),
                      .to_server = to_server};
        if (bytes.size() <= mtu && filter(packet)) wire.emplace(now + delay, std::move(packet));
      });
    }
    builder.clear();
  }
};

}  // namespace culvert::quic
