#include "drive/client.h"

#include "base/assert.h"
#include "base/probe.h"
#include "drive/client_dial.h"
#include "drive/client_session.h"
#include "drive/client_socks.h"
#include "drive/client_tunnel.h"
#include "drive/reconnect.h"
#include "drive/server_addresses.h"
#include "drive/tunnel_manager.h"
#include "drive/worker.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace culvert::drive {
namespace {

class ClientRole final : public Client,
                         public WorkerHandler,
                         public ClientDialOwner,
                         public ClientSessionOwner,
                         public ServerAddressesOwner,
                         public SessionSource {
 public:
  ClientRole(Host& host, Logger& log, ClientConfig config, ClientObserver& observer)
      : config_(std::move(config)),
        observer_(observer),
        worker_(host, log, *this),
        addresses_(host, worker_.log(), config_.addresses, config_.names, *this),
        context_{.worker = worker_,
                 .config = config_,
                 .stats = stats_,
                 .traffic = traffic_,
                 .addresses = addresses_},
        session_(context_, *this),
        reconnect_(host.rng(), config_.max_reconnect_attempts),
        tunnels_(*this, worker_, context_, observer_, config_.tunnels),
        timer_(worker_.timers(), *this),
        dial_timeout_(worker_.timers(), *this),
        redial_(worker_.timers(), *this) {}
  ~ClientRole() override { worker_.delete_dead(); }

  Status open();
  void start(Instant now) override;
  void stop(Instant now) override;
  ClientStats stats() const override;
  std::vector<ClientPath> paths() const override { return session_.paths(); }
  SocketAddress local_address() const override { return worker_.local_address(); }
  const tunnel::TunnelSet& tunnel_set() const override { return tunnels_.set(); }
  std::vector<TunnelStatus> tunnels() const override { return tunnels_.status(); }
  std::optional<ProxyStatus> proxy() const override;
  tunnel::TunnelDiff apply_tunnels(Instant now, tunnel::TunnelSet tunnels) override {
    return tunnels_.apply(now, std::move(tunnels));
  }

  ClientSession* session() override {
    return is_stopping_ || !has_connected_ ? nullptr : &session_;
  }
  ConnectionHandler* on_connection(Instant, quic::Connection&) override { return nullptr; }
  void on_network_changed(Instant now) override;
  void on_refused(Instant now, const UdpRefusal& refusal) override;
  void on_transport_ready(Instant now, ClientDial& dial) override;
  void on_dialled(Instant now, ClientDial& dial, Dialled dialled) override;
  void on_dial_failed(Instant now, ClientDial& dial, DialFailure failure) override;
  void on_connection_lost(Instant now, Error error) override;
  void on_silence(Instant now) override;
  void on_silence_over(Instant now) override;
  void on_flow_ended(Instant now) override;
  bool is_resuming() const override { return winner_ != nullptr; }
  void on_take_over(Instant now) override { stop_reconnecting(now, "another path took over"); }
  void on_wanted(Instant now) override;
  void on_looked_up(Instant now) override;

 private:
  void on_timer(Instant now);
  void dial_all(Instant now);
  void dial(Instant now, const SocketAddress& address, bool is_second = false);
  void begin_dial(Instant now, const SocketAddress& address, std::optional<IpAddress> local,
                  bool is_second);
  void dial_once_more(Instant now);
  void on_dial_timeout(Instant now);
  void on_redial(Instant now);
  void try_anew(Instant now);
  void begin_reconnecting(Instant now);
  void stop_reconnecting(Instant now, std::string_view why);
  void on_attempt_failed(Instant now, DialFailure failure);
  void forget(const ClientDial& dial);
  void abandon_dials(Instant now, const ClientDial* winner, session::CloseCode code,
                     std::string_view reason);
  void open_tunnels(Instant now);
  void open_stdio(Instant now);
  void finish(Instant now, std::optional<Error> error);
  [[nodiscard]] Error dial_error() const;

  ClientConfig config_;
  ClientObserver& observer_;
  ClientStats stats_;
  TrafficCounters traffic_;
  Worker worker_;
  ServerAddresses addresses_;
  ClientContext context_;
  ClientSession session_;
  std::vector<std::unique_ptr<ClientDial>> dials_;  // of each address
  std::vector<SocketAddress> dialled_;              // in this try
  Instant last_dials_{};                            // when the last of them began
  std::vector<Error> failures_;                     // of dials, the address as offender
  bool is_busy_ = false;                            // a server said that it is, in this try
  bool is_nobody_ = false;                          // nobody is at an address, in this try
  Instant give_up_at_{};                            // the first connecting
  const ClientDial* winner_ = nullptr;              // the first to complete a handshake
  Instant hurried_at_{};                            // a change of the network last began a try
  Reconnect reconnect_;
  std::optional<Error> lost_;  // why there is no connection
  TunnelManager tunnels_;
  std::unique_ptr<SocksListener> socks_;
  bool has_connected_ = false;
  bool is_stopping_ = false;
  bool has_finished_ = false;
  std::optional<Error> stdio_error_;                                    // how its flow ended
  MemberTimer<ClientRole, &ClientRole::on_timer> timer_;                // draining
  MemberTimer<ClientRole, &ClientRole::on_dial_timeout> dial_timeout_;  // of dials_
  MemberTimer<ClientRole, &ClientRole::on_redial> redial_;              // the next try
};

Status ClientRole::open() {
  if (config_.addresses.empty() && config_.names.empty()) {
    return fail(ErrorKind::configuration,
                "no address of the server is known: give --address or a ticket");
  }
  // A name may stand for anything, and for something else tomorrow.
  const bool needs_v6 = !config_.names.empty() ||
                        std::ranges::any_of(config_.addresses, [](const SocketAddress& address) {
                          return address.ip.is_v6();
                        });
  const UdpOptions udp{.purpose = Purpose::process,
                       .bind = {IpAddress::any(needs_v6 ? Family::v6 : Family::v4), 0},
                       .is_dual_stack = needs_v6,
                       .has_large_buffers = true};
  return worker_.open(config_.endpoint, udp);
}

// --- reaching the server -------------------------------------------------------------------------

void ClientRole::start(Instant now) {
  give_up_at_ = now + config_.connect_timeout;
  dial_timeout_.set(now + config_.connect_timeout);
  std::vector<std::string> places;
  for (const SocketAddress& address : config_.addresses) places.push_back(address.text());
  for (const HostPort& name : config_.names) places.push_back(name.text());
  worker_.log().info("session", "Connecting to {} over UDP", fmt::join(places, ", "));
  dial_all(now);
}

// Every address at once: the first to complete TLS carries the session. What names stand for now
// joins them as soon as it is known.
void ClientRole::dial_all(Instant now) {
  failures_.clear();
  dialled_.clear();
  is_busy_ = is_nobody_ = false;
  winner_ = nullptr;
  worker_.want_refusals(true);
  addresses_.look_up();
  for (const SocketAddress& address : addresses_.addresses()) dial(now, address);
  if (dials_.empty() && !addresses_.is_looking_up()) dial_timeout_.set(now);
  worker_.host().request_turn_end();
}

// As the routes say, unless they lead into a tunnel that we may carry, or where the user does not
// want it: then from our other addresses.
void ClientRole::dial(Instant now, const SocketAddress& address, bool is_second) {
  dialled_.push_back(address);
  last_dials_ = now;
  const auto ours = worker_.host().local_addresses();
  const auto local_ip = worker_.host().local_address_towards(address.ip);
  const auto routed = local_ip ? std::ranges::find(ours, *local_ip, &LocalAddress::ip) : ours.end();
  if (routed == ours.end() || session_.may_use(*routed)) {
    begin_dial(now, address, {}, is_second);
    return;
  }
  const bool may_follow_route = routed->use == AddressUse::inner && session_.is_cut_off();
  const std::size_t before = dials_.size();
  if (may_follow_route) begin_dial(now, address, {}, is_second);
  worker_.pin_local_addresses();
  for (const LocalAddress& local : ours) {
    const bool fits = local.ip.family() == address.ip.family() &&
                      local.ip.is_loopback() == address.ip.is_loopback();
    // Who has all routes lead into a VPN wants no packets beside it, but where they worked.
    const bool is_wanted = may_follow_route ? local.ip == session_.proven_local() : true;
    if (fits && is_wanted && session_.may_use(local)) {
      begin_dial(now, address, local.ip, is_second);
    }
  }
  if (dials_.size() > before) return;
  CULVERT_PROBE("drive.a server is only behind an interface that is left out");
  failures_.push_back({ErrorKind::unreachable,
                       "is reached only by an interface that is left out (--exclude-interface)",
                       address.text()});
}

void ClientRole::begin_dial(Instant now, const SocketAddress& address,
                            std::optional<IpAddress> local, bool is_second) {
  auto dial = std::make_unique<ClientDial>(worker_, config_,
                                           DialOptions{.server = address,
                                                       .local = local,
                                                       .ticket = session_.ticket(),
                                                       .worker = session_.server_worker(),
                                                       .is_second = is_second},
                                           *this);
  if (auto started = dial->start(now); !started) {
    failures_.push_back({started.error().kind, started.error().text(), address.text()});
    return;
  }
  dials_.push_back(std::move(dial));
}

void ClientRole::on_looked_up(Instant now) {
  const bool is_trying = dial_timeout_.is_set() && winner_ == nullptr && !has_finished_;
  if (!is_trying) return;  // the next try has use for it
  for (const SocketAddress& address : addresses_.addresses()) {
    if (std::ranges::find(dialled_, address) == dialled_.end()) dial(now, address);
  }
  if (dials_.empty() && !addresses_.is_looking_up()) dial_timeout_.set(now);
  worker_.host().request_turn_end();
}

// A local connection should not wait for the back-off, nor for packets that are sent again ever
// more rarely.
void ClientRole::on_wanted(Instant now) {
  if (!reconnect_.is_active()) return;
  if (redial_.is_set()) {
    reconnect_.on_wanted(now);
    redial_.set(reconnect_.next_attempt());
  } else if (!dials_.empty() && winner_ == nullptr &&
             now - last_dials_ >= limits::kReconnectDialAgain) {
    dial_once_more(now);
  }
}

// Beside the first dials, whose answer may be on its slow way.
void ClientRole::dial_once_more(Instant now) {
  CULVERT_PROBE("drive.a client dials once more beside a dial");
  ++stats_.reconnect_attempts;
  for (auto& dial : dials_) {
    if (!dial->is_second()) continue;
    dial->abandon(now, session::CloseCode::moved, "dialled anew");
    worker_.bury(std::move(dial));
  }
  std::erase(dials_, nullptr);
  addresses_.look_up();
  const std::vector<SocketAddress> addresses = addresses_.addresses();
  for (const SocketAddress& address : addresses) dial(now, address, true);
  worker_.host().request_turn_end();
}

// Why no address led to the server. Where every one led to somebody else, trying again
// cannot help: that is a failure of authentication.
Error ClientRole::dial_error() const {
  std::string text = "could not connect to the server";
  bool has_wrong_peers_only = dials_.empty();
  for (const Error& failure : failures_) {
    text += "; " + failure.text();
    has_wrong_peers_only = has_wrong_peers_only && failure.kind == ErrorKind::authentication;
  }
  for (const Error& failure : addresses_.failures()) {
    text += "; " + failure.text();
    has_wrong_peers_only = false;
  }
  for (const auto& dial : dials_) {
    if (dial->is_second()) continue;
    text += fmt::format("; {}: no answer over UDP{}", dial->server().text(),
                        dial->is_said_refused() ? " (ICMP says that nobody listens there)" : "");
  }
  if (!dials_.empty()) {
    text += "; is the server running, and do all firewalls on the way let UDP through to its port?";
  } else if (is_nobody_) {
    text += "; is the server running, is this its port, and does a firewall reject UDP?";
  }
  return {has_wrong_peers_only ? ErrorKind::authentication : ErrorKind::unreachable,
          std::move(text),
          {}};
}

void ClientRole::on_dial_timeout(Instant now) {
  on_attempt_failed(now, {.error = dial_error()});
}

void ClientRole::forget(const ClientDial& dial) {
  const auto found = std::ranges::find(dials_, &dial, &std::unique_ptr<ClientDial>::get);
  if (found == dials_.end()) return;
  worker_.bury(std::move(*found));
  dials_.erase(found);
}

void ClientRole::abandon_dials(Instant now, const ClientDial* winner, session::CloseCode code,
                               std::string_view reason) {
  for (auto& dial : dials_) {
    if (dial.get() == winner) continue;
    dial->abandon(now, code, reason);
    worker_.bury(std::move(dial));
  }
  std::erase(dials_, nullptr);
}

void ClientRole::on_transport_ready(Instant now, ClientDial& dial) {
  worker_.log().info("session", "Connected to server! {}", dial.server().text());
  winner_ = &dial;
  abandon_dials(now, &dial, session::CloseCode::moved, "another address answered first");
}

void ClientRole::on_dialled(Instant now, ClientDial& dial, Dialled dialled) {
  forget(dial);
  winner_ = nullptr;
  worker_.want_refusals(false);
  dial_timeout_.cancel();
  redial_.cancel();
  reconnect_.on_connected();
  lost_.reset();
  const bool is_new = std::holds_alternative<session::Authenticated>(dialled.outcome);
  if (is_new) worker_.log().info("session", "Authenticated with server successfully");
  const SocketAddress server = dialled.server;
  const std::size_t lost_flows = session_.adopt(now, std::move(dialled));
  tell(config_.events, [&] {
    return RoleEvent{
        .kind = is_new ? RoleEventKind::session_opened : RoleEventKind::session_resumed,
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

void ClientRole::on_dial_failed(Instant now, ClientDial& dial, DialFailure failure) {
  const bool was_winner = winner_ == &dial;
  forget(dial);
  if (was_winner) {
    on_attempt_failed(now, std::move(failure));
    return;
  }
  // Another address may still lead to the server: a stale one may belong to somebody else.
  failure.error.offender = dial.server().text();
  failures_.push_back(std::move(failure.error));
  is_busy_ = is_busy_ || failure.is_busy;
  is_nobody_ = is_nobody_ || failure.is_nobody;
  if (dials_.empty() && !addresses_.is_looking_up()) {
    on_attempt_failed(now, {.error = dial_error(), .is_busy = is_busy_});
  }
}

void ClientRole::on_refused(Instant now, const UdpRefusal& refusal) {
  // Two dials may be on their way there. Those from addresses of our choice go on: a firewall
  // behind one interface does not speak for the others.
  for (const auto& dial : dials_) {
    if (dial->server() == refusal.remote && !dial->has_local()) dial->on_refused(now, refusal);
  }
}

void ClientRole::on_attempt_failed(Instant now, DialFailure failure) {
  dial_timeout_.cancel();
  // A server that others keep busy is no reason to give up at the first try.
  if (!has_connected_ && failure.is_busy && now < give_up_at_) {
    abandon_dials(now, nullptr, session::CloseCode::moved, "took too long");
    winner_ = nullptr;
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
  abandon_dials(now, nullptr, session::CloseCode::moved, "took too long");
  winner_ = nullptr;
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
    return RoleEvent{
        .kind = RoleEventKind::session_lost, .peer = config_.server.text(), .detail = error.text()};
  });
  const bool may_reconnect = config_.max_reconnect_attempts != std::uint32_t{0} &&
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
  if (dials_.empty() && !redial_.is_set()) finish(now, std::move(lost_));
}

// It may come back by itself; the first to show life wins.
void ClientRole::on_silence(Instant now) {
  if (config_.max_reconnect_attempts == std::uint32_t{0}) return;
  worker_.log().info("session", "the server is silent: dialling anew beside the connection");
  begin_reconnecting(now);
}

void ClientRole::on_silence_over(Instant now) {
  // A dial that has come as far as this may have the session by now.
  if (!reconnect_.is_active() || winner_ != nullptr) return;
  worker_.log().info("session", "the server answers again");
  stop_reconnecting(now, "the connection works again");
}

void ClientRole::stop_reconnecting(Instant now, std::string_view why) {
  worker_.want_refusals(false);
  reconnect_.on_connected();
  dial_timeout_.cancel();
  redial_.cancel();
  abandon_dials(now, nullptr, session::CloseCode::moved, why);
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
  dial_timeout_.set(now + std::min(config_.connect_timeout, limits::kReconnectTry));
  dial_all(now);
}

void ClientRole::on_network_changed(Instant now) {
  session_.on_network_changed(now);
  reconnect_.on_network_changed(now);
  if (redial_.is_set()) redial_.set(reconnect_.next_attempt());
  // What a try has sent into a network that was away is lost, and comes again ever more rarely.
  const bool is_unanswered = !dials_.empty() && winner_ == nullptr;
  if (reconnect_.is_active() && is_unanswered &&
      now - hurried_at_ >= limits::kReconnectDelayFirst) {
    hurried_at_ = now;
    abandon_dials(now, nullptr, session::CloseCode::moved, "the network changed");
    try_anew(now);
  }
}

// --- tunnels -----------------------------------------------------------------------------------

// When nothing can listen the client ends: whoever started it believes in its ports. What cannot
// while others can is tried again.
void ClientRole::open_tunnels(Instant now) {
  const Status opened = tunnels_.start(now);
  if (config_.socks5) {
    socks_ = std::make_unique<SocksListener>(*this, worker_, context_, *config_.socks5);
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
  timer_.set(session_.flow_count() > 0 ? now + config_.drain_timeout : now);
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
  timer_.cancel();
  dial_timeout_.cancel();
  redial_.cancel();
  if (!error) error = std::move(stdio_error_);
  if (error && error->kind == ErrorKind::cancelled) error.reset();
  abandon_dials(now, nullptr, session::CloseCode::done, "done");
  session_.leave(now);
  session_.close(now, session::CloseCode::done, "done");
  tunnels_.stop(now);
  if (socks_) socks_->close(now);
  worker_.transmit_now(now);
  observer_.on_finished(now, std::move(error));
}

ClientStats ClientRole::stats() const {
  ClientStats stats = stats_;
  const TrafficCounters of_tunnels = tunnels_.stream_traffic();
  stats.bytes_up = traffic_.bytes_up + of_tunnels.bytes_up;
  stats.bytes_down = traffic_.bytes_down + of_tunnels.bytes_down;
  stats.udp_dropped += worker_.egress().dropped();
  stats.is_connected = session_.is_connected();
  stats.has_connected = has_connected_;
  if (session_.is_connected()) stats.connection = session_.connection()->stats();
  return stats;
}

std::optional<ProxyStatus> ClientRole::proxy() const {
  if (!config_.socks5) return std::nullopt;
  ProxyStatus status{.target = config_.socks5->text()};
  if (!socks_) return status;
  const ListenPlaces& places = socks_->places();
  status.local_addresses = places.open_texts();
  status.reason = places.failure();
  if (places.is_any_open()) {
    status.state = TunnelState::listening;
  } else if (places.has_tried_all()) {
    status.state = TunnelState::failed;
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

Result<std::unique_ptr<Client>> Client::create(Host& host, Logger& log, ClientConfig config,
                                               ClientObserver& observer) {
  auto client = std::make_unique<ClientRole>(host, log, std::move(config), observer);
  if (auto opened = client->open(); !opened) return forward(opened);
  return client;
}

}  // namespace culvert::drive
