// One client at the server: authentication, then its flows. Private to drive/.
#pragma once

#include "base/log_sampler.h"
#include "drive/control_stream.h"
#include "drive/flow_set.h"
#include "drive/server.h"
#include "drive/stream_pump.h"
#include "drive/worker.h"
#include "session/flow_open.h"

#include <memory>
#include <string>
#include <unordered_map>

namespace culvert::drive {

class ServerSession;
class ServerUdpFlow;

// What sessions share with their server.
struct ServerContext {
  Worker& worker;
  ServerShared& shared;
  ServerStats& stats;
  TrafficCounters& traffic;
  Graveyard& graveyard;
  LogSampler broken_handshakes;  // repeated warnings
  bool is_stopping = false;
};

class SessionOwner {
 public:
  // The connection is over; the session may be deleted at the end of the turn.
  virtual void on_session_ended(Instant now, ServerSession& session) = 0;
  virtual void on_flow_ended(Instant now) = 0;

 protected:
  ~SessionOwner() = default;
};

class ServerSession final : public ConnectionHandler, public ControlHandler {
 public:
  ServerSession(ServerContext& context, quic::Connection& connection, SessionOwner& owner);
  ~ServerSession() override;

  void on_event(Instant now, quic::Event& event) override;
  void on_readable(Instant now, quic::Stream& stream) override;
  void on_writable(Instant now, quic::Stream& stream) override;
  void on_datagram(Instant now, ByteView datagram) override;

  // Says goodbye; flows go on until close().
  void leave(Instant now);
  void close(Instant now, session::CloseCode code, std::string_view reason);
  [[nodiscard]] std::size_t flow_count() const { return flows_.size(); }

  // --- for the flows ---------------------------------------------------------------------
  [[nodiscard]] ServerContext& context() { return context_; }
  [[nodiscard]] quic::Connection& connection() { return connection_; }
  [[nodiscard]] session::Dialect dialect() const { return dialect_; }
  void start_flow(Instant now, quic::Stream& stream, const session::FlowOpen& open);
  // Answers the flow's head with a refusal and lets the stream end.
  void refuse_flow(quic::Stream& stream, std::string_view source, session::RefusalCode code,
                   const std::string& reason);
  void accept_flow(quic::Stream& stream, std::string_view source, const std::string& dialled);
  void retire(Instant now, StreamUser& flow);
  void add_udp_flow(std::uint64_t id, ServerUdpFlow& flow) { udp_flows_[id] = &flow; }
  [[nodiscard]] bool has_udp_flow(std::uint64_t id) const { return udp_flows_.contains(id); }
  void remove_udp_flow(std::uint64_t id) { udp_flows_.erase(id); }

 private:
  void on_handshake_event(Instant now, session::HandshakeEvent& event) override;
  void on_stream_opened(Instant now, quic::Stream& stream);
  void on_authenticated(const session::Authenticated& authenticated);
  bool admit();
  [[nodiscard]] AuditedClient audited_client() const;
  void audit_auth(AuthRecord record) const;
  void audit_flow(FlowRecord record) const;
  void on_linger(Instant now);
  void end(Instant now);

  ServerContext& context_;
  quic::Connection& connection_;
  SessionOwner& owner_;
  session::Dialect dialect_ = session::Dialect::culvert_1;
  std::unique_ptr<ControlStream> control_;
  FlowSet flows_;
  std::unordered_map<std::uint64_t, ServerUdpFlow*> udp_flows_;  // ids are the client's choice
  bool is_admitted_ = false;  // counted in ServerShared::sessions
  bool is_authenticated_ = false;
  bool has_ended_ = false;
  session::CloseCode linger_code_ = session::CloseCode::auth_failed;
  std::string linger_reason_;
  MemberTimer<ServerSession, &ServerSession::on_linger> linger_;
};

}  // namespace culvert::drive
