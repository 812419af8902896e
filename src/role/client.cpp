#include "role/client.h"

#include "base/assert.h"
#include "base/probe.h"
#include "drive/worker.h"
#include "flow/client_socks.h"
#include "flow/client_tunnel.h"
#include "flow/tunnel_manager.h"
#include "peer/client_session.h"
#include "peer/peer_addresses.h"
#include "role/client_dials.h"
#include "role/reconnect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace culvert::role {
namespace {

class ClientRole final : public Client,
                         public drive::WorkerHandler,
                         public ClientDialsOwner,
                         public peer::ClientSessionOwner,
                         public peer::PeerAddressesOwner,
                         public flow::SessionSource {
 public:
  // `own`: null where the worker is not.
  ClientRole(std::unique_ptr<drive::Worker> own, drive::Worker& worker, peer::ClientConfig config,
             peer::ClientObserver& observer)
      : config_(std::move(config)),
        observer_(observer),
        own_worker_(std::move(own)),
        worker_(worker),
        addresses_(worker_.host(), worker_.log(), config_.finder,
                   {.peer = config_.server, .addresses = config_.addresses, .names = config_.names},
                   *this),
        context_{.worker = worker_,
                 .config = config_,
                 .stats = stats_,
                 .traffic = traffic_,
                 .addresses = addresses_},
        session_(context_, *this),
        dials_(context_, session_, addresses_, *this),
        reconnect_(worker_.host().rng(), config_.policy.max_reconnect_attempts),
        tunnels_(*this, worker_, context_, observer_, config_.tunnels),
        timer_(worker_.timers(), *this),
        redial_(worker_.timers(), *this) {}
  ~ClientRole() override;

  void start(Instant now) override;
  void stop(Instant now) override;
  peer::ClientStats stats() const override;
  std::vector<peer::ClientPath> paths() const override { return session_.paths(); }
  SocketAddress local_address() const override { return worker_.local_address(); }
  const tunnel::TunnelSet& tunnel_set() const override { return tunnels_.set(); }
  std::vector<flow::TunnelStatus> tunnels() const override { return tunnels_.status(); }
  std::optional<flow::ProxyStatus> proxy() const override;
  tunnel::TunnelDiff apply_tunnels(Instant now, tunnel::TunnelSet tunnels) override {
    return tunnels_.apply(now, std::move(tunnels));
  }

  peer::ClientSession* session() override {
    return is_stopping_ || !has_connected_ ? nullptr : &session_;
  }
  drive::ConnectionHandler* on_connection(Instant, quic::Connection&) override { return nullptr; }
  void on_network_changed(Instant now) override;
  void on_refused(Instant now, const UdpRefusal& refusal) override {
    dials_.on_refused(now, refusal);
  }
  void on_dialled(Instant now, peer::Dialled dialled) override;
  void on_try_failed(Instant now, peer::DialFailure failure) override;
  void on_connection_lost(Instant now, Error error) override;
  void on_silence(Instant now) override;
  void on_silence_over(Instant now) override;
  void on_flow_ended(Instant now) override;
  bool is_resuming() const override { return dials_.has_answer(); }
  void on_take_over(Instant now) override { stop_reconnecting(now, "another path took over"); }
  void on_wanted(Instant now) override;
  void on_addresses(Instant now) override { dials_.on_addresses(now); }

 private:
  void on_timer(Instant now);
  void on_redial(Instant now);
  void try_anew(Instant now);
  void begin_reconnecting(Instant now);
  void stop_reconnecting(Instant now, std::string_view why);
  void open_tunnels(Instant now);
  void open_stdio(Instant now);
  void finish(Instant now, std::optional<Error> error);
  void end_all(Instant now);

  peer::ClientConfig config_;
  peer::ClientObserver& observer_;
  peer::ClientStats stats_;
  drive::TrafficCounters traffic_;
  const std::unique_ptr<drive::Worker> own_worker_;
  drive::Worker& worker_;
  peer::PeerAddresses addresses_;
  peer::ClientContext context_;
  peer::ClientSession session_;
  ClientDials dials_;
  Instant give_up_at_{};  // the first connecting
  Instant hurried_at_{};  // a change of the network last began a try
  Reconnect reconnect_;
  std::optional<Error> lost_;  // why there is no connection
  flow::TunnelManager tunnels_;
  std::unique_ptr<flow::SocksListener> socks_;
  bool has_connected_ = false;
  bool is_stopping_ = false;
  bool has_finished_ = false;
  std::optional<Error> stdio_error_;                        // how its flow ended
  MemberTimer<ClientRole, &ClientRole::on_timer> timer_;    // draining
  MemberTimer<ClientRole, &ClientRole::on_redial> redial_;  // the next try
};

// Others go on with a worker that they share: nothing of this role may be left there.
ClientRole::~ClientRole() {
  if (!own_worker_ && !std::exchange(has_finished_, true)) end_all(worker_.host().now());
  worker_.remove_role(*this);
  worker_.delete_dead();
}

Status check_addresses(const peer::ClientConfig& config) {
  if (!config.addresses.empty() || !config.names.empty()) return {};
  return fail(ErrorKind::configuration,
              "no address of the server is known: give --address or a ticket");
}

// Of both families, whatever is known of the server now: other addresses may be found later.
UdpOptions client_udp_options() {
  return {.purpose = Purpose::process,
          .bind = {IpAddress::any(Family::v6), 0},
          .is_dual_stack = true,
          .has_large_buffers = true};
}

// --- reaching the server -------------------------------------------------------------------------

void ClientRole::start(Instant now) {
  give_up_at_ = now + config_.policy.connect_timeout;
  std::vector<std::string> places;
  for (const SocketAddress& address : config_.addresses) places.push_back(address.text());
  for (const HostPort& name : config_.names) places.push_back(name.text());
  worker_.log().info("session", "Connecting to {} over UDP", fmt::join(places, ", "));
  dials_.begin(now, config_.policy.connect_timeout);
}

// A local connection should not wait for the back-off, nor for packets that are sent again ever
// more rarely.
void ClientRole::on_wanted(Instant now) {
  if (!reconnect_.is_active()) return;
  if (redial_.is_set()) {
    reconnect_.on_wanted(now);
    redial_.set(reconnect_.next_attempt());
  } else if (dials_.is_unanswered() && now - dials_.last_begun() >= limits::kReconnectDialAgain) {
    ++stats_.reconnect_attempts;
    dials_.begin_once_more(now);
  }
}

void ClientRole::on_dialled(Instant now, peer::Dialled dialled) {
  dials_.want_no_refusals();
  redial_.cancel();
  reconnect_.on_connected();
  lost_.reset();
  const bool is_new = std::holds_alternative<session::Authenticated>(dialled.outcome);
  if (is_new) worker_.log().info("session", "Authenticated with server successfully");
  const SocketAddress server = dialled.server;
  const std::size_t lost_flows = session_.adopt(now, std::move(dialled));
  tell(config_.events, [&] {
    return peer::RoleEvent{
        .kind = is_new ? peer::RoleEventKind::session_opened : peer::RoleEventKind::session_resumed,
        .peer = config_.server.text(),
        .address = server.text()};
  });
  if (!has_connected_) {
    has_connected_ = true;
    observer_.on_connected(now, server);
    open_tunnels(now);
  } else if (is_new) {
    worker_.log().warn("session", "New session: {} flows were reset", lost_flows);
  }
}

void ClientRole::on_try_failed(Instant now, peer::DialFailure failure) {
  // A server that others keep busy is no reason to give up at the first try.
  if (!has_connected_ && failure.is_busy && now < give_up_at_) {
    dials_.abandon(now, session::CloseCode::moved, "took too long");
    reconnect_.on_lost(now);
    if (reconnect_.on_failed(now, failure.wait)) {
      redial_.set(reconnect_.next_attempt());
      return;
    }
  }
  if (!has_connected_ || failure.is_final) {
    finish(now, std::move(failure.error));
    return;
  }
  worker_.log().debug("session", "not reconnected: {}", failure.error.text());
  dials_.abandon(now, session::CloseCode::moved, "took too long");
  if (session_.is_connected() && !session_.is_silent()) {
    reconnect_.on_connected();
    return;
  }
  if (reconnect_.on_failed(now, failure.wait)) {
    redial_.set(reconnect_.next_attempt());
  } else if (lost_) {  // else there is a connection, silent as it may be
    finish(now, std::move(lost_));
  }
}

// --- losing it -----------------------------------------------------------------------------------

void ClientRole::on_connection_lost(Instant now, Error error) {
  tell(config_.events, [&] {
    return peer::RoleEvent{.kind = peer::RoleEventKind::session_lost,
                           .peer = config_.server.text(),
                           .detail = error.text()};
  });
  const bool may_reconnect = config_.policy.max_reconnect_attempts != std::uint32_t{0} &&
                             error.kind != ErrorKind::authentication &&
                             error.kind != ErrorKind::refused && !has_finished_;
  if (!may_reconnect) {
    finish(now, std::move(error));
    return;
  }
  worker_.log().warn("session", "Connection lost: {}; reconnecting", error.text());
  lost_ = std::move(error);
  lost_->kind = ErrorKind::lost;
  begin_reconnecting(now);
  // All tries were spent while it was silent.
  if (dials_.is_empty() && !redial_.is_set()) finish(now, std::move(lost_));
}

// It may come back by itself; the first to show life wins.
void ClientRole::on_silence(Instant now) {
  if (config_.policy.max_reconnect_attempts == std::uint32_t{0}) return;
  worker_.log().info("session", "the server is silent: dialling anew beside the connection");
  begin_reconnecting(now);
}

void ClientRole::on_silence_over(Instant now) {
  // A dial that has come as far as this may have the session by now.
  if (!reconnect_.is_active() || dials_.has_answer()) return;
  worker_.log().info("session", "the server answers again");
  stop_reconnecting(now, "the connection works again");
}

void ClientRole::stop_reconnecting(Instant now, std::string_view why) {
  dials_.want_no_refusals();
  reconnect_.on_connected();
  redial_.cancel();
  dials_.abandon(now, session::CloseCode::moved, why);
}

void ClientRole::begin_reconnecting(Instant now) {
  if (reconnect_.is_active()) return;
  reconnect_.on_lost(now);
  redial_.set(reconnect_.next_attempt());
}

void ClientRole::on_redial(Instant now) {
  reconnect_.on_attempt(now);
  ++stats_.reconnect_attempts;
  try_anew(now);
}

void ClientRole::try_anew(Instant now) {
  dials_.begin(now, std::min(config_.policy.connect_timeout, limits::kReconnectTry));
}

void ClientRole::on_network_changed(Instant now) {
  session_.on_network_changed(now);
  reconnect_.on_network_changed(now);
  if (redial_.is_set()) redial_.set(reconnect_.next_attempt());
  // What a try has sent into a network that was away is lost, and comes again ever more rarely.
  if (reconnect_.is_active() && dials_.is_unanswered() &&
      now - hurried_at_ >= limits::kReconnectDelayFirst) {
    hurried_at_ = now;
    dials_.abandon(now, session::CloseCode::moved, "the network changed");
    try_anew(now);
  }
}

// --- tunnels -----------------------------------------------------------------------------------

// When nothing can listen the client ends: whoever started it believes in its ports. What cannot
// while others can is tried again.
void ClientRole::open_tunnels(Instant now) {
  const Status opened = tunnels_.start(now);
  if (config_.socks5) {
    socks_ = std::make_unique<flow::SocksListener>(*this, worker_, context_, *config_.socks5);
    socks_->open(now);
  }
  const bool has_socks = socks_ && socks_->places().is_any_open();
  if (!opened && !has_socks && !config_.stdio) {
    finish(now, opened.error());
    return;
  }
  if (socks_ && !has_socks && !tunnels_.is_any_listening() && !config_.stdio) {
    finish(now, Error{ErrorKind::io, "SOCKS5: " + socks_->places().failure(), {}});
    return;
  }
  tunnels_.warn_of_failures();
  if (socks_) socks_->warn_of_failures();
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
  open_stream_flow(now, *this, worker_, std::move(*port),
                   {.source = config_.stdio->text(),
                    .on_reply = {},
                    .on_end = [this](Instant ended, const std::optional<Error>& error) {
                      stdio_error_ = error;
                      is_stopping_ = true;
                      timer_.set(ended);
                    }});
}

// --- the end -----------------------------------------------------------------------------------

void ClientRole::stop(Instant now) {
  if (has_finished_) return;
  if (std::exchange(is_stopping_, true)) {
    timer_.set(now);
    worker_.host().request_turn_end();
    return;
  }
  tunnels_.stop(now);
  if (socks_) socks_->close(now);
  timer_.set(session_.flow_count() > 0 ? now + config_.policy.drain_timeout : now);
  worker_.host().request_turn_end();
}

void ClientRole::on_timer(Instant now) {
  finish(now, std::nullopt);
}

void ClientRole::on_flow_ended(Instant now) {
  if (is_stopping_ && session_.flow_count() == 0) timer_.set(now);
}

void ClientRole::finish(Instant now, std::optional<Error> error) {
  if (has_finished_) return;
  has_finished_ = true;
  if (!error) error = std::move(stdio_error_);
  if (error && error->kind == ErrorKind::cancelled) error.reset();
  end_all(now);
  worker_.transmit_now(now);
  observer_.on_finished(now, std::move(error));
}

void ClientRole::end_all(Instant now) {
  timer_.cancel();
  redial_.cancel();
  dials_.want_no_refusals();
  dials_.abandon(now, session::CloseCode::done, "done");
  session_.leave();
  session_.close(now, session::CloseCode::done, "done");
  tunnels_.stop(now);
  if (socks_) socks_->close(now);
}

peer::ClientStats ClientRole::stats() const {
  peer::ClientStats stats = stats_;
  const drive::TrafficCounters of_tunnels = tunnels_.stream_traffic();
  stats.bytes_up = traffic_.to_stream + of_tunnels.to_stream;
  stats.bytes_down = traffic_.from_stream + of_tunnels.from_stream;
  stats.udp_dropped += worker_.egress().dropped();
  stats.packets_stray = worker_.strays();
  stats.packets_unsent = worker_.transports().dropped();
  stats.is_connected = session_.is_connected();
  stats.has_connected = has_connected_;
  if (session_.is_connected()) stats.connection = session_.connection()->stats();
  return stats;
}

std::optional<flow::ProxyStatus> ClientRole::proxy() const {
  if (!config_.socks5) return std::nullopt;
  flow::ProxyStatus status{.target = config_.socks5->text()};
  if (!socks_) return status;
  const flow::ListenPlaces& places = socks_->places();
  status.local_addresses = places.open_texts();
  status.reason = places.failure();
  if (places.is_any_open()) {
    status.state = flow::TunnelState::listening;
  } else if (places.has_tried_all()) {
    status.state = flow::TunnelState::failed;
  }
  return status;
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

Result<std::unique_ptr<Client>> Client::create(Host& host, Logger& log, peer::ClientConfig config,
                                               peer::ClientObserver& observer) {
  CULVERT_CHECK(check_addresses(config));
  auto own = std::make_unique<drive::Worker>(host, log);
  CULVERT_CHECK(own->open(config.endpoint, client_udp_options()));
  drive::Worker& worker = *own;
  auto client = std::make_unique<ClientRole>(std::move(own), worker, std::move(config), observer);
  CULVERT_CHECK(worker.add_role(*client, {}));
  return client;
}

Result<std::unique_ptr<Client>> Client::create(drive::Worker& worker, peer::ClientConfig config,
                                               peer::ClientObserver& observer) {
  CULVERT_CHECK(check_addresses(config));
  auto client = std::make_unique<ClientRole>(nullptr, worker, std::move(config), observer);
  CULVERT_CHECK(worker.add_role(*client, {}));
  return client;
}

}  // namespace culvert::role
