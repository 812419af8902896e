// One try to reach the server at one address: a connection, TLS, and the control stream until
// the server has let us in. What it yields is taken over by the ClientSession. Private to
// drive/.
#pragma once

#include "drive/worker.h"
#include "peer/client_config.h"
#include "peer/control_stream.h"
#include "peer/login_stream.h"

#include <memory>
#include <optional>
#include <variant>

namespace culvert::peer {

class ClientDial;

// An authenticated connection, without anybody who handles it.
struct Dialled {
  quic::Connection& connection;
  std::unique_ptr<ControlStream> control;
  SocketAddress server;
  std::variant<session::Authenticated, session::Resumed, session::Joined> outcome;
};

struct DialFailure {
  Error error;
  bool is_final = false;   // our server said no to our credentials: no use to ask again
  Duration wait{};         // ... or to ask before this
  bool is_busy = false;    // it takes no more connections now: soon it may
  bool is_nobody = false;  // ICMP says that nobody listens there
};

class ClientDialOwner {
 public:
  virtual void on_transport_ready(Instant now, ClientDial& dial) = 0;  // TLS completed
  virtual void on_dialled(Instant now, ClientDial& dial, Dialled dialled) = 0;
  virtual void on_dial_failed(Instant now, ClientDial& dial, DialFailure failure) = 0;

 protected:
  ~ClientDialOwner() = default;
};

struct DialOptions {
  SocketAddress server;
  std::optional<IpAddress> local{};               // from there; empty: as the routes say
  std::optional<session::ResumeTicket> ticket{};  // of the session to go on with
  std::optional<std::uint8_t> worker{};           // that has it
  bool joins = false;                             // ... which keeps its connection
  bool is_second = false;                         // beside another to the same address
};

// Owned by the role, to the end of the turn in which it ends.
class ClientDial final : public drive::ConnectionHandler, public LoginHandler {
 public:
  ClientDial(drive::Worker& worker, const ClientConfig& config, DialOptions options,
             ClientDialOwner& owner);
  ~ClientDial() override;

  [[nodiscard]] Status start(Instant now);
  // Closes without further callbacks: another address won, or it took too long. With
  // CloseCode::moved the session goes on elsewhere, should the server have resumed it here.
  void abandon(Instant now, session::CloseCode code, std::string_view reason);
  [[nodiscard]] const SocketAddress& server() const { return options_.server; }
  // ICMP says that nobody listens there. A hint (RFC 9000 14.2.1): it ends the dial if it quotes
  // packets of this connection, which is more than a stranger beside the path can know, of two
  // times, as a server may just be starting, and if nothing comes from there by
  // limits::kRefusedDial.
  void on_refused(Instant now, const UdpRefusal& refusal);
  // It was said at all: something to tell when the dial has ended for want of an answer.
  [[nodiscard]] bool is_said_refused() const { return is_said_refused_; }
  [[nodiscard]] bool has_local() const { return options_.local.has_value(); }
  // With DialOptions::local only.
  [[nodiscard]] PathId path() const;
  [[nodiscard]] bool is_second() const { return options_.is_second; }
  [[nodiscard]] Instant started() const { return started_; }
  [[nodiscard]] bool is_over() const { return connection_ == nullptr; }

  void on_event(Instant now, quic::Event& event) override;
  void on_readable(Instant now, quic::Stream& stream) override;
  void on_writable(Instant, quic::Stream&) override {}
  void on_datagram(Instant, ByteView) override {}

 private:
  void on_verdict(Instant now, session::Verdict& verdict) override;
  void on_transport_ready(Instant now);
  void on_refusal_due(Instant now);
  void on_closed(Instant now, quic::Closed& closed);
  template <typename Outcome>
  void succeed(Instant now, Outcome outcome);
  void fail(Instant now, session::CloseCode code, DialFailure failure);
  void end(Instant now, DialFailure failure);

  drive::Worker& worker_;
  const ClientConfig& config_;
  DialOptions options_;
  ClientDialOwner& owner_;
  quic::Connection* connection_ = nullptr;  // null once it is handed over or given up
  std::unique_ptr<LoginStream> login_;
  Instant started_{};
  bool is_said_refused_ = false;
  std::optional<Instant> refused_at_;  // first
  MemberTimer<ClientDial, &ClientDial::on_refusal_due> refusal_due_;
};

// What a CONNECTION_CLOSE of the server means to its client; `kind` where it names no refusal.
[[nodiscard]] Error closed_by_server(const quic::Closed& closed, ErrorKind kind);

}  // namespace culvert::peer
