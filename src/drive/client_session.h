// One connection to the server from the client's side: dialling, authentication, flows.
// Knows nothing of listeners, so that those can outlive it. Private to drive/.
#pragma once

#include "drive/client.h"
#include "drive/control_stream.h"
#include "drive/flow_set.h"
#include "drive/stream_pump.h"
#include "drive/worker.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace culvert::drive {

class ClientSession;
class ClientUdpFlow;

struct ClientContext {
  Worker& worker;
  const ClientConfig& config;
  ClientStats& stats;
  TrafficCounters& traffic;
  Graveyard& graveyard;
};

class ClientSessionOwner {
 public:
  virtual void on_transport_ready(Instant now, ClientSession& session) = 0;  // TLS completed
  virtual void on_authenticated(Instant now, ClientSession& session) = 0;
  virtual void on_session_ended(Instant now, ClientSession& session, Error error) = 0;
  virtual void on_flow_ended(Instant now) = 0;

 protected:
  ~ClientSessionOwner() = default;
};

class ClientSession final : public ConnectionHandler, public ControlHandler {
 public:
  ClientSession(ClientContext& context, const SocketAddress& server, ClientSessionOwner& owner);
  ~ClientSession() override;

  [[nodiscard]] Status dial(Instant now);
  void leave(Instant now);
  void close(Instant now, session::CloseCode code, std::string_view reason);
  // Closes without further callbacks: another address won.
  void abandon(Instant now);
  void on_network_changed(Instant now);
  // Runs `start` with a new stream: now, or when the server grants one. False: too many
  // wait already; `start` was not taken.
  using StartFlow = std::move_only_function<void(Instant now, quic::Stream& stream)>;
  [[nodiscard]] bool with_new_stream(Instant now, StartFlow start);
  void add_flow(std::unique_ptr<StreamUser> flow);
  void retire(Instant now, StreamUser& flow);

  [[nodiscard]] std::uint64_t next_udp_flow_id() { return next_udp_flow_id_++; }
  void add_udp_flow(std::uint64_t id, ClientUdpFlow& flow) { udp_flows_[id] = &flow; }
  void remove_udp_flow(std::uint64_t id) { udp_flows_.erase(id); }

  [[nodiscard]] const SocketAddress& server() const { return server_; }
  [[nodiscard]] ClientContext& context() { return context_; }
  [[nodiscard]] quic::Connection& connection() { return *connection_; }
  [[nodiscard]] bool has_connection() const { return connection_ != nullptr; }
  [[nodiscard]] session::Dialect dialect() const { return dialect_; }
  [[nodiscard]] std::size_t flow_count() const { return flows_.size() + waiting_.size(); }
  [[nodiscard]] bool is_authenticated() const { return is_authenticated_; }

  void on_event(Instant now, quic::Event& event) override;
  void on_readable(Instant now, quic::Stream& stream) override;
  void on_writable(Instant now, quic::Stream& stream) override;
  void on_datagram(Instant now, ByteView datagram) override;

 private:
  void on_handshake_event(Instant now, session::HandshakeEvent& event) override;
  void on_transport_ready(Instant now);
  void start_waiting(Instant now);
  void end(Instant now, Error error);
  void on_migration_check(Instant now);
  void move(Instant now, quic::Migration migration);

  ClientContext& context_;
  SocketAddress server_;
  ClientSessionOwner& owner_;
  quic::Connection* connection_ = nullptr;
  std::unique_ptr<ControlStream> control_;
  FlowSet flows_;
  std::deque<StartFlow> waiting_;
  std::unordered_map<std::uint64_t, ClientUdpFlow*> udp_flows_;
  std::uint64_t next_udp_flow_id_ = 1;
  session::Dialect dialect_;
  bool is_authenticated_ = false;
  bool has_ended_ = false;
  // A path that could not be validated (its probes were lost) is tried again.
  MemberTimer<ClientSession, &ClientSession::on_migration_check> migration_check_;
};

}  // namespace culvert::drive
