#include "app/client_app.h"

#include "app/address_lookup.h"
#include "app/client_control.h"
#include "app/config_watch.h"
#include "app/debug_sinks.h"
#include "net/kernel_host.h"
#include "net/service_manager.h"
#include "net/unix_client.h"

#include <csignal>
#include <utility>
#include <vector>

namespace culvert::app {
namespace {

// Beyond drain_timeout, within which drive::Client ends by itself.
constexpr Duration kStopBackstop = std::chrono::seconds(2);

// Owned by the caller of create(). Everything but request_stop() happens on the thread of
// run().
class ClientAppImpl final : public ClientApp, private drive::ClientObserver {
 public:
  ClientAppImpl(ClientOptions options, ClientReporter& reporter, Logger& log)
      : options_(std::move(options)),
        reporter_(reporter),
        log_(log),
        group_(log, options_.udp, 1),
        target_(host().now(), client_, options_, log),
        control_(host(), target_) {}

  Status open() { return control_.open(options_.control, "client", net::process_id()); }
  Status run() override;
  void request_stop() override {
    host().post([this](Instant now) { stop(now); });
  }

 private:
  net::KernelHost& host() { return group_.host(0); }
  Status start(Instant now, std::vector<SocketAddress> addresses);
  void stop(Instant now);
  void reload(Instant now);
  void finish(Status status) {
    status_ = std::move(status);
    host().stop();
  }

  void on_connected(Instant now, const SocketAddress& server) override;
  void on_listening(Instant now, const tunnel::TunnelSpec& tunnel,
                    const std::string& local_address) override;
  void on_finished(Instant now, std::optional<Error> error) override;

  ClientOptions options_;
  ClientReporter& reporter_;
  Logger& log_;
  net::HostGroup group_;
  ClientControl target_;
  control::ControlServer control_;  // the client tells it what happens
  std::unique_ptr<AddressLookup> lookup_;
  std::unique_ptr<drive::Client> client_;  // dies before its host
  bool is_stopping_ = false;
  Status status_;
};

Status ClientAppImpl::run() {
  if (options_.handles_signals) {
    std::vector<int> signals{SIGINT, SIGTERM};
    if (options_.reload) signals.push_back(SIGHUP);
    host().watch_signals(signals, [this](Instant now, int signal) {
      if (signal == SIGHUP) {
        reload(now);
      } else {
        stop(now);
      }
    });
  }
  watch_config(host(), log_, options_.watched_files, [this](Instant now) { reload(now); });
  lookup_ = std::make_unique<AddressLookup>(
      host(), options_.addresses, [this](Instant now, Result<std::vector<SocketAddress>> found) {
        Status started = found ? start(now, std::move(*found)) : Status(forward(found));
        if (!started) finish(std::move(started));
      });
  host().run();
  lookup_.reset();
  if (client_) reporter_.on_stopped(client_->stats());
  return status_;
}

Status ClientAppImpl::start(Instant now, std::vector<SocketAddress> addresses) {
  CULVERT_TRY(DebugSinks sinks, DebugSinks::open(options_.debug, log_));
  std::array<std::uint8_t, 32> secret{};
  host().rng().fill(secret);
  drive::ClientConfig config{.endpoint = {.identity = options_.identity,
                                          .alpns = {},
                                          .transport = options_.transport,
                                          .protection = options_.protection,
                                          .static_secret = Secret(secret),
                                          .key_log = std::move(sinks.key_log),
                                          .qlog = std::move(sinks.qlog)},
                             .server = options_.server,
                             .addresses = std::move(addresses),
                             .credentials = options_.credentials,
                             .dialect = options_.dialect,
                             .tunnels = options_.tunnels,
                             .socks5 = options_.socks5,
                             .stdio = options_.stdio,
                             .connect_timeout = options_.connect_timeout,
                             .udp_flow_idle = options_.udp_flow_idle,
                             .drain_timeout = options_.drain_timeout,
                             .resume_grace = options_.resume_grace,
                             .max_reconnect_attempts = options_.max_reconnect_attempts,
                             .events = &control_};
  CULVERT_TRY(client_, drive::Client::create(host(), log_, std::move(config), *this));
  client_->start(now);
  return {};
}

void ClientAppImpl::on_connected(Instant, const SocketAddress& server) {
  reporter_.on_connected(server);
  net::notify_service_manager("READY=1");
}

void ClientAppImpl::on_listening(Instant, const tunnel::TunnelSpec& tunnel,
                                 const std::string& local_address) {
  reporter_.on_listening(tunnel, local_address);
}

void ClientAppImpl::on_finished(Instant, std::optional<Error> error) {
  if (error && error->kind != ErrorKind::cancelled) {
    finish(std::unexpected(std::move(*error)));
  } else {
    finish({});
  }
}

void ClientAppImpl::reload(Instant now) {
  if (!client_ || is_stopping_) return;
  const auto loaded = options_.reload();
  if (!loaded) {
    log_unchanged(log_, loaded.error());
    return;
  }
  auto wanted = client_->tunnel_set().reloaded(loaded->tunnels);
  if (!wanted) {
    log_unchanged(log_, wanted.error());
    return;
  }
  const tunnel::TunnelDiff diff = client_->apply_tunnels(now, std::move(*wanted));
  log_.info("config", "configuration read again: tunnels {}", diff.text());
  warn_of_restart(log_, loaded->notes);
  watch_config(host(), log_, loaded->notes.files, [this](Instant at) { reload(at); });
}

void ClientAppImpl::stop(Instant now) {
  if (is_stopping_ || !client_) {
    finish({});
    return;
  }
  is_stopping_ = true;
  target_.set_stopping();
  net::notify_service_manager("STOPPING=1");
  host().set_alarm(options_.drain_timeout + kStopBackstop, [this](Instant) { finish({}); });
  client_->stop(now);
}

}  // namespace

Result<std::unique_ptr<ClientApp>> ClientApp::create(ClientOptions options,
                                                     ClientReporter& reporter, Logger& log) {
  if (options.addresses.empty()) {
    return fail(ErrorKind::configuration,
                "no address of the server: give --address host:port or a ticket that holds one",
                options.server.text());
  }
  auto app = std::make_unique<ClientAppImpl>(std::move(options), reporter, log);
  if (Status opened = app->open(); !opened) return forward(opened);
  return app;
}

}  // namespace culvert::app
