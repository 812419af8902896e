#include "drive/client.h"

#include "base/assert.h"
#include "drive/client_session.h"
#include "drive/client_socks.h"
#include "drive/client_tunnel.h"
#include "drive/tunnel_manager.h"
#include "drive/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::drive {
namespace {

class ClientRole final : public Client,
                         public WorkerHandler,
                         public ClientSessionOwner,
                         public SessionSource {
 public:
  ClientRole(Host& host, Logger& log, ClientConfig config, ClientObserver& observer)
      : config_(std::move(config)),
        observer_(observer),
        worker_(host, log, *this),
        context_{.worker = worker_,
                 .config = config_,
                 .stats = stats_,
                 .traffic = traffic_,
                 .graveyard = graveyard_},
        tunnels_(*this, worker_, context_, observer_, config_.tunnels),
        timer_(worker_.timers(), *this) {}

  Status open();
  void start(Instant now) override;
  void stop(Instant now) override;
  ClientStats stats() const override;
  std::optional<ClientPath> path() const override;
  SocketAddress local_address() const override { return worker_.local_address(); }
  const tunnel::TunnelSet& tunnel_set() const override { return tunnels_.set(); }
  std::vector<TunnelStatus> tunnels() const override { return tunnels_.status(); }
  tunnel::TunnelDiff apply_tunnels(Instant now, tunnel::TunnelSet tunnels) override {
    return tunnels_.apply(now, std::move(tunnels));
  }

  ClientSession* session() override { return is_stopping_ ? nullptr : session_; }
  ConnectionHandler* on_connection(Instant, quic::Connection&) override { return nullptr; }
  void on_network_changed(Instant now) override;
  void on_turn_done(Instant now) override;
  void on_transport_ready(Instant now, ClientSession& session) override;
  void on_authenticated(Instant now, ClientSession& session) override;
  void on_session_ended(Instant now, ClientSession& session, Error error) override;
  void on_flow_ended(Instant now) override;

 private:
  void on_timer(Instant now);
  void open_tunnels(Instant now);
  void open_stdio(Instant now);
  void keep_only(Instant now, ClientSession& winner);
  void finish(Instant now, std::optional<Error> error);
  [[nodiscard]] Error dial_error() const;

  ClientConfig config_;
  ClientObserver& observer_;
  ClientStats stats_;
  TrafficCounters traffic_;
  Worker worker_;
  ClientContext context_;
  Graveyard graveyard_;
  std::vector<std::unique_ptr<ClientSession>> sessions_;  // while dialling one per address
  std::vector<std::unique_ptr<ClientSession>> ended_;     // until the end of the turn
  ClientSession* session_ = nullptr;                      // authenticated
  std::vector<Error> failures_;                           // of dials, the address as offender
  const ClientSession* winner_ = nullptr;                 // the first to complete a handshake
  TunnelManager tunnels_;
  std::unique_ptr<SocksListener> socks_;
  bool is_stopping_ = false;
  bool has_finished_ = false;
  bool was_stdio_refused_ = false;
  MemberTimer<ClientRole, &ClientRole::on_timer> timer_;  // connecting, later draining
};

Status ClientRole::open() {
  if (config_.addresses.empty()) {
    return fail(ErrorKind::configuration,
                "no address of the server is known: give --address or a ticket");
  }
  const bool needs_v6 = std::ranges::any_of(
      config_.addresses, [](const SocketAddress& address) { return address.ip.is_v6(); });
  const UdpOptions udp{.bind = {IpAddress::any(needs_v6 ? Family::v6 : Family::v4), 0},
                       .is_dual_stack = needs_v6,
                       .has_large_buffers = true};
  return worker_.open(config_.endpoint, udp);
}

// Every address at once: the first to complete TLS carries the session.
void ClientRole::start(Instant now) {
  timer_.set(now + config_.connect_timeout);
  for (const SocketAddress& address : config_.addresses) {
    auto session = std::make_unique<ClientSession>(context_, address, *this);
    if (auto dialled = session->dial(now); !dialled) {
      failures_.push_back({dialled.error().kind, dialled.error().text(), address.text()});
      continue;
    }
    sessions_.push_back(std::move(session));
  }
  if (sessions_.empty()) timer_.set(now);
  worker_.host().request_turn_end();
}

// Why no address led to the server. Where every one led to somebody else, trying again
// cannot help: that is a failure of authentication.
Error ClientRole::dial_error() const {
  std::string text = "could not connect to the server";
  bool has_wrong_peers_only = sessions_.empty();
  for (const Error& failure : failures_) {
    text += "; " + failure.text();
    has_wrong_peers_only = has_wrong_peers_only && failure.kind == ErrorKind::authentication;
  }
  for (const auto& session : sessions_) {
    text += fmt::format("; {}: no answer", session->server().text());
  }
  return {has_wrong_peers_only ? ErrorKind::authentication : ErrorKind::unreachable,
          std::move(text),
          {}};
}

void ClientRole::on_timer(Instant now) {
  if (is_stopping_) {
    finish(now, std::nullopt);
  } else if (session_ == nullptr) {
    finish(now, dial_error());
  }
}

void ClientRole::keep_only(Instant now, ClientSession& winner) {
  for (auto& session : sessions_) {
    if (session.get() == &winner) continue;
    session->abandon(now);
    ended_.push_back(std::move(session));
  }
  std::erase(sessions_, nullptr);
}

void ClientRole::on_transport_ready(Instant now, ClientSession& session) {
  worker_.log().info("session", "Connected to server! {}", session.server().text());
  winner_ = &session;
  keep_only(now, session);
}

void ClientRole::on_authenticated(Instant now, ClientSession& session) {
  timer_.cancel();
  session_ = &session;
  worker_.log().info("session", "Authenticated with server successfully");
  tell(config_.events, [&] {
    return RoleEvent{.kind = RoleEventKind::session_opened,
                     .peer = config_.server.text(),
                     .address = session.server().text()};
  });
  observer_.on_connected(now, session.server());
  open_tunnels(now);
}

void ClientRole::on_session_ended(Instant now, ClientSession& session, Error error) {
  const auto found = std::ranges::find(sessions_, &session, &std::unique_ptr<ClientSession>::get);
  if (found == sessions_.end()) return;
  ended_.push_back(std::move(*found));
  sessions_.erase(found);
  if (session_ == &session) {
    session_ = nullptr;
    tell(config_.events, [&] {
      return RoleEvent{.kind = RoleEventKind::session_closed,
                       .peer = config_.server.text(),
                       .address = session.server().text(),
                       .detail = error.text()};
    });
  }
  if (winner_ == &session) {
    finish(now, std::move(error));
    return;
  }
  // Another address may still lead to the server: a stale one may belong to somebody else.
  error.offender = session.server().text();
  failures_.push_back(std::move(error));
  if (sessions_.empty()) finish(now, dial_error());
}

// --- tunnels -----------------------------------------------------------------------------------

// When no tunnel can listen the client ends: whoever started it believes in its ports.
void ClientRole::open_tunnels(Instant now) {
  if (auto opened = tunnels_.start(now); !opened) {
    finish(now, std::move(opened).error());
    return;
  }
  if (config_.socks5) {
    auto socks = std::make_unique<SocksListener>(*this, worker_, context_);
    if (auto opened = socks->open(*config_.socks5); !opened) {
      finish(now, std::move(opened).error());
      return;
    }
    worker_.log().info("tunnel", "Listening on SOCKS5 {}", socks->local_address());
    socks_ = std::move(socks);
  }
  if (config_.stdio) open_stdio(now);
}

// The stream needs a handler from the beginning; the flow takes its place at once.
void ClientRole::open_stdio(Instant now) {
  struct NoHandler final : StreamHandler {
    void on_stream_connected(Instant) override {}
    void on_stream_failed(Instant, const Error&) override {}
    void on_stream_readable(Instant) override {}
    void on_stream_writable(Instant) override {}
  };
  static NoHandler no_handler;
  auto port = worker_.host().open_stdio(no_handler);
  if (!port) {
    finish(now, std::move(port).error());
    return;
  }
  open_stream_flow(now, *this, worker_.log(), std::move(*port),
                   {.source = config_.stdio->text(),
                    .on_reply = {},
                    .on_end = [this](Instant ended, bool was_refused) {
                      was_stdio_refused_ = was_refused;
                      is_stopping_ = true;
                      timer_.set(ended);
                    }});
}

// --- the end -----------------------------------------------------------------------------------

void ClientRole::stop(Instant now) {
  if (is_stopping_ || has_finished_) return;
  is_stopping_ = true;
  tunnels_.stop(now);
  if (socks_) socks_->close(now);
  const bool has_flows = session_ != nullptr && session_->flow_count() > 0;
  timer_.set(has_flows ? now + config_.drain_timeout : now);
  worker_.host().request_turn_end();
}

void ClientRole::on_flow_ended(Instant now) {
  if (is_stopping_ && session_ != nullptr && session_->flow_count() == 0) timer_.set(now);
}

void ClientRole::finish(Instant now, std::optional<Error> error) {
  if (has_finished_) return;
  has_finished_ = true;
  timer_.cancel();
  if (!error && was_stdio_refused_) {
    error = Error{ErrorKind::refused, "the server refused the destination", config_.stdio->text()};
  }
  if (error && error->kind == ErrorKind::cancelled) error.reset();
  for (const auto& session : sessions_) {
    session->leave(now);
    session->close(now, session::CloseCode::done, "done");
  }
  tunnels_.stop(now);
  if (socks_) socks_->close(now);
  worker_.transmit_now(now);
  observer_.on_finished(now, std::move(error));
}

void ClientRole::on_network_changed(Instant now) {
  if (session_ != nullptr) session_->on_network_changed(now);
}

void ClientRole::on_turn_done(Instant) {
  graveyard_.clear();  // flows first: they refer to their sessions
  ended_.clear();
  if (socks_) socks_->bury_dead();
}

std::optional<ClientPath> ClientRole::path() const {
  if (session_ == nullptr) return std::nullopt;
  const quic::Connection& connection = session_->connection();
  return ClientPath{connection.path(), connection.stats()};
}

ClientStats ClientRole::stats() const {
  ClientStats stats = stats_;
  const TrafficCounters of_tunnels = tunnels_.stream_traffic();
  stats.bytes_up = traffic_.bytes_up + of_tunnels.bytes_up;
  stats.bytes_down = traffic_.bytes_down + of_tunnels.bytes_down;
  stats.udp_dropped += worker_.egress().dropped();
  if (session_ != nullptr) stats.connection = session_->connection().stats();
  return stats;
}

}  // namespace

Status Client::add_tunnel(Instant now, tunnel::TunnelSpec tunnel) {
  CULVERT_TRY(tunnel::TunnelSet set, tunnel_set().with(std::move(tunnel)));
  apply_tunnels(now, std::move(set));
  return {};
}

Status Client::remove_tunnel(Instant now, std::string_view label) {
  CULVERT_TRY(tunnel::TunnelSet set, tunnel_set().without(label));
  apply_tunnels(now, std::move(set));
  return {};
}

Status Client::replace_tunnel(Instant now, std::string_view label, tunnel::TunnelSpec tunnel) {
  CULVERT_TRY(tunnel::TunnelSet set, tunnel_set().with_replaced(label, std::move(tunnel)));
  apply_tunnels(now, std::move(set));
  return {};
}

Status Client::enable_tunnel(Instant now, std::string_view label, bool is_enabled) {
  CULVERT_TRY(tunnel::TunnelSet set, tunnel_set().with_enabled(label, is_enabled));
  apply_tunnels(now, std::move(set));
  return {};
}

Result<std::unique_ptr<Client>> Client::create(Host& host, Logger& log, ClientConfig config,
                                               ClientObserver& observer) {
  auto client = std::make_unique<ClientRole>(host, log, std::move(config), observer);
  if (auto opened = client->open(); !opened) return forward(opened);
  return client;
}

}  // namespace culvert::drive
