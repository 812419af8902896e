// A connection of which nobody knows yet who it is: from its first packet until the client is let
// in. The mirror of ClientDial. A stranger gets no session: what this yields becomes one, or the
// connection of one that is there. Private to drive/.
#pragma once

#include "drive/worker.h"
#include "peer/control_stream.h"
#include "peer/login_stream.h"
#include "peer/server_context.h"
#include "peer/session_place.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace culvert::peer {

class ServerGreeter;

// A connection whose client was let in, without anybody who handles it.
struct Greeted {
  quic::Connection& connection;
  std::unique_ptr<ControlStream> control;
  crypto::EndpointId client;
  SocketAddress remote;
  std::variant<session::Authenticated, session::Resumed, session::Joined> outcome;
  SessionPlace place{};                          // of a new session
  std::shared_ptr<const ServerPolicy> policy{};  // which let it in
};

class ServerGreeterOwner {
 public:
  // Proof of one of these lets a client of this EndpointId have the session back, or join it.
  [[nodiscard]] virtual std::vector<session::ResumeKey> resume_keys(
      const crypto::EndpointId& client, const session::SessionId& session) const = 0;
  // Ends the session, of this credential only if one is given, whose client has been silent for
  // longest, and for longer than a living one is. False: there is none.
  virtual bool end_silent(Instant now, const session::CredentialId* credential) = 0;
  // A session of this worker has to give its place up.
  virtual void on_place_lost(Instant now, std::uint64_t session) = 0;
  virtual void on_greeted(Instant now, ServerGreeter& greeter, Greeted greeted) = 0;
  // The connection is over, or will be as soon as the client has heard why.
  virtual void on_not_greeted(ServerGreeter& greeter) = 0;

 protected:
  ~ServerGreeterOwner() = default;
};

// Owned by the role, to the end of the turn in which it ends.
class ServerGreeter final : public drive::ConnectionHandler, public LoginHandler {
 public:
  ServerGreeter(ServerContext& context, Instant now, quic::Connection& connection,
                ServerGreeterOwner& owner);
  ~ServerGreeter() override;

  void close(Instant now, session::CloseCode code, std::string_view reason);

  void on_event(Instant now, quic::Event& event) override;
  void on_readable(Instant now, quic::Stream& stream) override;
  void on_writable(Instant now, quic::Stream& stream) override;
  void on_datagram(Instant now, ByteView datagram) override;

 private:
  void on_verdict(Instant now, session::Verdict& verdict) override;
  void on_transport_ready(Instant now, const quic::HandshakeCompleted& completed);
  void on_stream_opened(Instant now, quic::Stream& stream);
  void on_refused(Instant now, session::Refused& refused);
  [[nodiscard]] session::ServerHandshakeConfig handshake_config();
  [[nodiscard]] session::Admittance admit(Instant now, const session::AuthIdentity& identity);
  template <typename Outcome>
  void succeed(Instant now, Outcome outcome);
  void refuse(Instant now, session::CloseCode code, const Error& error);
  void tell(RoleEventKind kind, std::string_view detail) const;
  void audit(AuthRecord record) const;
  void on_linger(Instant now);
  void on_deadline(Instant now);
  void end();

  ServerContext& context_;
  ServerGreeterOwner& owner_;
  quic::Connection* connection_;  // null once it is handed over or given up
  SocketAddress remote_;
  crypto::EndpointId client_;
  session::Dialect dialect_ = session::Dialect::culvert_1;
  std::unique_ptr<LoginStream> login_;
  std::shared_ptr<const ServerPolicy> policy_;  // as it was when the client began to speak
  SessionPlace place_;
  session::CloseCode linger_code_ = session::CloseCode::auth_failed;
  std::string linger_reason_;
  MemberTimer<ServerGreeter, &ServerGreeter::on_linger> linger_;
  MemberTimer<ServerGreeter, &ServerGreeter::on_deadline> deadline_;
};

}  // namespace culvert::peer
