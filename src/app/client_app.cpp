#include "app/client_app.h"

#include "app/client_control.h"
#include "app/client_servers.h"
#include "app/config_watch.h"
#include "app/node.h"
#include "app/reload_thread.h"
#include "app/stop_signals.h"
#include "net/kernel_host.h"
#include "net/service_manager.h"
#include "net/signal_watch.h"
#include "net/unix_client.h"

#include <csignal>
#include <utility>
#include <vector>

namespace culvert::app {
namespace {

// Owned by the caller of create(). Everything but request_stop() happens on the thread of
// run(); the servers' workers have a thread each.
class ClientAppImpl final : public ClientApp, private ClientServersOwner {
 public:
  ClientAppImpl(ClientOptions options, ClientReporter& reporter, Logger& log)
      : options_(std::move(options)),
        reporter_(reporter),
        log_(log),
        node_(options_.identity, {.udp = options_.udp, .interfaces = options_.interfaces}, 1, log),
        target_(host().now(), servers_, options_, log),
        control_(host(), target_),
        servers_(node_, options_, control_, *this, log),
        reloading_(host(), service_, options_.reload,
                   [this](Instant now, Result<ClientReload> loaded) {
                     on_reloaded(now, std::move(loaded));
                   }) {}

  Status open() { return control_.open(options_.control, "client", net::process_id()); }
  Status run() override;
  void request_stop() override {
    host().post([this](Instant) { stop(is_stopping_ ? StopWish::now : StopWish::polite); });
  }

 private:
  net::KernelHost& host() { return node_.main(); }
  void watch_signals();
  void feed_watchdog();
  void stop(StopWish wish);
  void reload() {
    if (!is_stopping_) reloading_.begin();
  }
  void on_reloaded(Instant now, Result<ClientReload> loaded);

  void on_server_connected(const std::string& name, const SocketAddress& address) override;
  void on_server_listening(const tunnel::TunnelSpec& tunnel, const std::string& local) override {
    reporter_.on_listening(tunnel, local);
  }
  void on_servers_ended(Status status) override {
    status_ = std::move(status);
    host().stop();
  }

  const ClientOptions options_;  // the links read it
  ClientReporter& reporter_;
  Logger& log_;
  Node node_;
  ClientControl target_;
  admin::ControlServer control_;  // the servers tell it what happens
  ClientServers servers_;         // dies before it
  bool is_stopping_ = false;
  StopSignals stop_signals_;
  net::ServiceState service_;
  Status status_;
  std::unique_ptr<TimerPort> watchdog_;
  ReloadThread<ClientReload> reloading_;  // dies first
};

Status ClientAppImpl::run() {
  if (options_.handles_signals) watch_signals();
  watch_config(host(), log_, options_.watched_files, [this](Instant) { reload(); });
  feed_watchdog();
  servers_.start();
  host().run();
  reporter_.on_stopped(servers_.counters());
  return status_;
}

void ClientAppImpl::watch_signals() {
  std::vector<int> signals{SIGINT, SIGTERM};
  // Where nothing can be read again it means that the terminal is gone, or the ssh whose
  // ProxyCommand this is: the server is told, as with SIGTERM.
  if (options_.reload || !net::is_ignored(SIGHUP)) signals.push_back(SIGHUP);
  host().watch_signals(signals, [this](Instant now, int signal) {
    if (signal == SIGHUP && options_.reload) {
      reload();
    } else {
      stop(stop_signals_.note(now));
    }
  });
}

void ClientAppImpl::feed_watchdog() {
  const auto interval = net::watchdog_interval();
  if (!interval) return;
  net::notify_service_manager("WATCHDOG=1");
  watchdog_ = host().after(*interval, [this](Instant) { feed_watchdog(); });
}

void ClientAppImpl::on_server_connected(const std::string& name, const SocketAddress& address) {
  reporter_.on_connected(name, address);
  service_.ready();
}

void ClientAppImpl::on_reloaded(Instant now, Result<ClientReload> loaded) {
  if (is_stopping_) return;
  if (!loaded) {
    log_unchanged(log_, loaded.error());
    return;
  }
  const auto done = servers_.reload(now, std::move(loaded->servers), loaded->tunnels);
  if (!done) {
    log_unchanged(log_, done.error());
    return;
  }
  log_.info("config", "configuration read again: {}", *done);
  warn_of_restart(log_, loaded->notes);
  watch_config(host(), log_, loaded->notes.files, [this](Instant) { reload(); });
}

void ClientAppImpl::stop(StopWish wish) {
  if (wish == StopWish::none) return;
  if (wish == StopWish::now) {
    on_servers_ended({});
    return;
  }
  is_stopping_ = true;
  target_.set_stopping();
  service_.stopping();
  servers_.stop(wish == StopWish::at_once);
}

}  // namespace

Result<std::unique_ptr<ClientApp>> ClientApp::create(ClientOptions options,
                                                     ClientReporter& reporter, Logger& log) {
  if (options.servers.empty()) return fail(ErrorKind::configuration, "which server?");
  for (const ClientServer& server : options.servers) {
    if (server.addresses.empty()) {
      return fail(ErrorKind::configuration,
                  "no address of the server: give --address host:port or a ticket that holds one",
                  server.name.empty() ? server.id.text() : server.name);
    }
  }
  auto app = std::make_unique<ClientAppImpl>(std::move(options), reporter, log);
  CULVERT_CHECK(app->open());
  return app;
}

}  // namespace culvert::app
