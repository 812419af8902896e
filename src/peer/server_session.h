// One client at the server that was let in: its flows, on one connection after another where they
// can be resumed. Private to drive/.
#pragma once

#include "drive/worker.h"
#include "peer/flow_claims.h"
#include "peer/flow_gate.h"
#include "peer/server_context.h"
#include "peer/server_greeter.h"
#include "peer/server_lanes.h"
#include "peer/session_core.h"
#include "peer/session_snapshot.h"
#include "session/flow_open.h"
#include "session/resume_talk.h"
#include "tunnel/source.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::peer {

class ServerSession;

class SessionOwner {
 public:
  // The session is over, and may be deleted at the end of the turn.
  virtual void on_session_ended(Instant now, ServerSession& session) = 0;
  virtual void on_flow_ended(Instant now) = 0;

 protected:
  ~SessionOwner() = default;
};

class ServerSession final : public drive::ConnectionHandler,
                            public ControlHandler,
                            public SessionCoreOwner {
 public:
  // `greeted` is authenticated; begin() follows at once.
  ServerSession(ServerContext& context, Greeted greeted, SessionOwner& owner);
  ~ServerSession() override;

  void on_event(Instant now, quic::Event& event) override;
  void on_readable(Instant now, quic::Stream& stream) override { core_.on_readable(now, stream); }
  void on_writable(Instant now, quic::Stream& stream) override { core_.on_writable(now, stream); }
  void on_datagram(Instant now, ByteView datagram) override { core_.on_datagram(now, datagram); }

  void begin(Instant now);
  // The client proved on another connection that it may have the session back, or add that
  // connection to it.
  void resume(Instant now, Greeted greeted);
  void join(Instant now, Greeted greeted);
  // By which it may be resumed and joined; none: not at all.
  [[nodiscard]] std::vector<session::ResumeKey> resume_keys() const;
  [[nodiscard]] bool is_resumable() const { return terms_.has_value(); }
  // Of a session that is.
  [[nodiscard]] const session::ResumeTerms& terms() const { return *terms_; }
  [[nodiscard]] const session::SessionId& resume_id() const { return session_id_; }

  // Says goodbye; flows go on until close().
  void leave();
  void close(Instant now, session::CloseCode code, std::string_view reason);
  [[nodiscard]] std::size_t flow_count() const { return core_.flows().size(); }
  [[nodiscard]] std::uint64_t id() const { return place_.session(); }
  [[nodiscard]] SessionSnapshot snapshot() const;
  [[nodiscard]] const session::AuthIdentity& identity() const { return identity_; }
  // When its client was last heard; empty: suspended, or on several connections.
  [[nodiscard]] std::optional<Instant> heard_at() const;
  // The context has another policy; `credentials` are its.
  void on_policy_changed(Instant now, const session::CredentialCheck& credentials);

  // --- for the flows ---------------------------------------------------------------------
  [[nodiscard]] ServerContext& context() { return context_; }
  [[nodiscard]] SessionCore& core() { return core_; }
  [[nodiscard]] const crypto::EndpointId& peer() const { return peer_; }
  [[nodiscard]] session::Dialect dialect() const { return dialect_; }
  [[nodiscard]] FlowGate& gate() { return gate_; }
  [[nodiscard]] AuditedClient audited_client() const;
  void tell(RoleEventKind kind, std::string_view detail) const;
  // What a stream of one of its connections begins with.
  void on_flow_open(Instant now, quic::Stream& stream, const session::FlowOpen& open);

  // --- for the connections that have joined it ---------------------------------------------
  void on_flows_gone(Instant now, const std::vector<std::uint64_t>& ids);
  void on_promoted(Instant now, quic::Connection& connection,
                   std::unique_ptr<ControlStream> control, std::size_t key_index);

 private:
  void start_flow(Instant now, quic::Stream& stream, const session::FlowOpen& open);
  void start_stream_flow(Instant now, buffers::ByteStream& stream, const tunnel::Source& source);
  // A flow of this session goes on with this stream.
  void resume_flow(Instant now, quic::Stream& stream, const session::FlowOpen& open);
  // The stream is one of those that carry a flow.
  void join_flow(Instant now, quic::Stream& stream, const session::FlowOpen& open);
  void on_control(Instant now) override;
  void on_control_failed(Instant now, const session::ChannelFailure& failure) override;
  void on_closed(Instant now, const quic::Closed& closed);
  void on_resume_done(Instant now, std::uint64_t count);
  // Goes on with this connection.
  void take_over(Instant now, quic::Connection& connection, std::unique_ptr<ControlStream> control,
                 std::size_t key_index);
  void claim(Instant now, std::uint64_t flow_id);
  void finish_resuming(Instant now);
  void on_flow_stream(quic::Stream& stream) override;
  void on_flow_ended(Instant now) override { owner_.on_flow_ended(now); }
  void on_beyond_share(Instant now) override;
  void on_grace_over(Instant now);
  void open_up(quic::Connection& connection);
  void end(Instant now);

  ServerContext& context_;
  FlowGate gate_;  // outlives the flows, which count in it
  SessionCore core_;
  ServerLanes joined_;  // all lanes but the session's own connection
  crypto::EndpointId peer_;
  SocketAddress remote_;  // of the client, for logs
  SessionOwner& owner_;
  session::Dialect dialect_ = session::Dialect::culvert_1;
  session::AuthIdentity identity_;
  SessionPlace place_;
  // --- resume; without terms the session ends with its connection
  std::optional<session::ResumeTerms> terms_;
  session::SessionId session_id_{};
  // Of the connection; behind it the one that the client used last, until it shows that it
  // knows of this one.
  std::vector<session::ResumeKey> keys_;
  std::optional<session::ServerResumeTalk> resume_talk_;  // with a connection
  FlowClaims claims_;                                     // to parked flows
  bool uses_several_paths_ = false;                       // a flow is or was spread over them
  bool has_ended_ = false;
  Instant begun_at_{};
  std::string end_reason_;
  MemberTimer<ServerSession, &ServerSession::on_grace_over> grace_;
};

}  // namespace culvert::peer
