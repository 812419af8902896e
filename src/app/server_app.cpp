#include "app/server_app.h"

#include "app/audit_log.h"
#include "app/config_watch.h"
#include "app/debug_sinks.h"
#include "app/node.h"
#include "app/own_addresses.h"
#include "app/reload_thread.h"
#include "app/server_control.h"
#include "app/shared_auth_limiter.h"
#include "app/shared_session_places.h"
#include "app/stop_signals.h"
#include "app/ticket.h"
#include "base/assert.h"
#include "net/kernel_host.h"
#include "net/service_manager.h"
#include "net/signal_watch.h"
#include "net/unix_client.h"
#include "session/dialect.h"

#include <algorithm>
#include <csignal>
#include <thread>
#include <utility>

namespace culvert::app {
namespace {

constexpr Duration kPolicyRetry = std::chrono::milliseconds(100);

std::vector<std::string> alpns_of(const std::vector<session::Dialect>& dialects) {
  std::vector<std::string> alpns;
  for (const session::Dialect dialect : dialects) alpns.emplace_back(session::alpn(dialect));
  return alpns;
}

// Owned by the caller of create(). Everything but request_stop() happens on the thread of
// run(), which is worker 0's; workers 1.. have a thread each, and meet this object only in
// tasks posted to their hosts.
class ServerAppImpl final : public ServerApp {
 public:
  ServerAppImpl(ServerOptions options, ServerReporter& reporter, Logger& log)
      : options_(std::move(options)),
        reporter_(reporter),
        log_(log),
        node_(options_.identity, {.udp = options_.udp, .interfaces = options_.interfaces},
              options_.workers != 0 ? options_.workers : default_worker_count(), log),
        ticket_(node_.identity().public_key(), log),
        target_(group_, servers_, options_, auth_limiter_, audit_log_, log),
        control_(group_.host(0), target_),
        auth_limiter_(options_.auth_limits, group_.host(0).rng()),
        reloading_(
            group_.host(0), service_, options_.reload,
            [this](Instant, Result<ServerReload> loaded) { on_reloaded(std::move(loaded)); }) {}

  Status open();
  Status run() override;
  void request_stop() override {
    group_.host(0).post([this](Instant) { stop(is_stopping_ ? StopWish::now : StopWish::polite); });
  }
  session::AuthMetrics auth_metrics() override {
    // The loops' clock (net/loop.cpp), but without touching a loop of another thread.
    return auth_limiter_.metrics(Instant(std::chrono::steady_clock::now().time_since_epoch()));
  }

 private:
  void stop(StopWish wish);
  void watch_signals();
  void reload() {
    if (!is_stopping_) reloading_.begin();
  }
  void on_reloaded(Result<ServerReload> loaded);
  void distribute_policy();
  void stop_at_once();
  void publish() {
    node_.publish(own_candidates(options_.external_addresses, servers_[0]->local_address(),
                                 node_.main().local_addresses()));
  }
  void feed_watchdog();

  ServerOptions options_;
  ServerReporter& reporter_;
  Logger& log_;
  peer::ServerShared shared_;
  Node node_;
  net::HostGroup& group_ = node_.group();
  TicketPublisher ticket_;
  ServerControl target_;
  admin::ControlServer control_;  // the servers tell it what happens
  SharedAuthLimiter auth_limiter_;
  SharedSessionPlaces places_;
  std::unique_ptr<AuditLog> audit_log_;               // null: none
  ServerControl::Servers servers_;                    // by worker; die before their hosts
  std::shared_ptr<const peer::ServerPolicy> policy_;  // the newest; shared with the workers
  std::vector<bool> has_policy_;                      // by worker: it is in its mailbox
  std::unique_ptr<TimerPort> policy_retry_;
  std::unique_ptr<TimerPort> watchdog_;
  std::unique_ptr<TimerPort> backstop_;  // of a polite stop
  bool is_stopping_ = false;
  StopSignals stop_signals_;
  net::ServiceState service_;
  ReloadThread<ServerReload> reloading_;  // dies first
};

Status ServerAppImpl::open() {
  shared_.policy = std::make_shared<const peer::ServerPolicy>(std::move(options_.policy));
  shared_.times = options_.times;
  shared_.events = &control_;
  shared_.log_sample_interval = options_.auth_limits.log_sample_interval;
  shared_.auth_gate = &auth_limiter_;
  shared_.places = &places_;
  // A full mailbox loses the wish: that session then ends with its grace.
  shared_.give_up_elsewhere = [this](std::uint8_t worker, std::uint64_t session) {
    group_.host(worker).post([server = servers_[worker].get(), session](Instant now) {
      server->give_up_session(now, session);
    });
  };
  // The first worker's thread is that of the node.
  shared_.on_network_changed = [this](Instant, std::uint8_t worker) {
    if (worker == 0) publish();
  };
  node_.add_publisher(ticket_);
  if (!options_.audit_log.empty()) {
    CULVERT_TRY(audit_log_,
                AuditLog::open(options_.audit_log, log_, {.is_required = options_.audit_required}));
    shared_.audit = audit_log_.get();
  }

  std::array<std::uint8_t, 32> secret{};
  group_.host(0).rng().fill(secret);
  SocketAddress bind = options_.bind;
  for (unsigned i = 0; i < group_.size(); ++i) {
    CULVERT_TRY(DebugSinks sinks, DebugSinks::open(options_.debug, log_));
    role::ServerConfig config{.endpoint = {.identity = node_.identity(),
                                           .alpns = alpns_of(options_.dialects),
                                           .transport = options_.transport,
                                           .protection = options_.protection,
                                           .accepts_connections = true,
                                           .worker_index = static_cast<std::uint8_t>(i),
                                           .worker_count = static_cast<std::uint8_t>(group_.size()),
                                           .static_secret = Secret(secret),
                                           .key_log = std::move(sinks.key_log),
                                           .qlog = std::move(sinks.qlog)},
                              .bind = bind,
                              .is_shared = group_.size() > 1};
    CULVERT_TRY(auto server,
                role::Server::create(group_.host(i), log_, std::move(config), shared_));
    bind.port = server->local_address().port;  // the first one's choice is everybody's
    servers_.push_back(std::move(server));
  }
  // Nothing keeps the first policy once a reload has replaced it: it has tokens.
  policy_ = std::move(shared_.policy);
  // One client leaves as many to the others as it may have. Before the first flow: here.
  shared_.descriptors_per_session = std::max(group_.descriptors().room() / 2, 1U);
  return control_.open(options_.control, "server", net::process_id());
}

Status ServerAppImpl::run() {
  net::KernelHost& main = group_.host(0);
  if (options_.handles_signals) watch_signals();
  watch_config(main, log_, options_.watched_files, [this](Instant) { reload(); });
  std::vector<std::jthread> threads;  // joined when this scope ends
  for (unsigned i = 1; i < group_.size(); ++i) {
    threads.emplace_back([this, i] {
      servers_[i]->start(group_.host(i).now());
      group_.host(i).run();
    });
  }
  servers_[0]->start(main.now());

  publish();
  const Ticket& ticket = ticket_.ticket();
  reporter_.on_ready({ticket.id, servers_[0]->local_address(), ticket.addresses, ticket.text()});
  service_.ready();
  feed_watchdog();
  main.run();

  threads.clear();
  drive::Counters sum;
  for (const auto& server : servers_) admin::add(sum, server->stats());
  reporter_.on_stopped(sum);
  return {};
}

void ServerAppImpl::watch_signals() {
  std::vector<int> signals{SIGINT, SIGTERM};
  // With nothing to read or open again: the terminal is gone, and clients are told.
  const bool means_again = audit_log_ || options_.reload;
  if (means_again || !net::is_ignored(SIGHUP)) signals.push_back(SIGHUP);
  group_.host(0).watch_signals(signals, [this, means_again](Instant now, int signal) {
    if (signal == SIGHUP && means_again) {
      if (audit_log_) audit_log_->reopen();  // log rotation
      reload();
    } else {
      stop(stop_signals_.note(now));
    }
  });
}

void ServerAppImpl::feed_watchdog() {
  const auto interval = net::watchdog_interval();
  if (!interval || is_stopping_) return;
  net::notify_service_manager("WATCHDOG=1");
  watchdog_ = group_.host(0).after(*interval, [this](Instant) { feed_watchdog(); });
}

void ServerAppImpl::on_reloaded(Result<ServerReload> loaded) {
  if (is_stopping_) return;
  if (!loaded) {
    log_unchanged(log_, loaded.error());
    return;
  }
  policy_ = std::make_shared<const peer::ServerPolicy>(std::move(loaded->policy));
  has_policy_.assign(group_.size(), false);
  distribute_policy();
  auth_limiter_.set_limits(loaded->auth_limits);
  log_.info("config", "configuration read again: credentials, allow lists and limits");
  warn_of_restart(log_, loaded->notes);
  watch_config(group_.host(0), log_, loaded->notes.files, [this](Instant) { reload(); });
}

// A worker whose mailbox is full gets it a little later: no policy may be lost.
void ServerAppImpl::distribute_policy() {
  bool is_done = true;
  for (unsigned i = 0; i < group_.size(); ++i) {
    if (has_policy_[i]) continue;
    has_policy_[i] = group_.host(i).post([server = servers_[i].get(), policy = policy_](
                                             Instant now) { server->set_policy(now, policy); });
    is_done = is_done && has_policy_[i];
  }
  if (is_done || is_stopping_) {
    policy_retry_.reset();
  } else {
    policy_retry_ = group_.host(0).after(kPolicyRetry, [this](Instant) { distribute_policy(); });
  }
}

void ServerAppImpl::stop(StopWish wish) {
  if (wish == StopWish::none) return;
  if (wish == StopWish::now) {
    stop_at_once();
    return;
  }
  const bool is_first = !std::exchange(is_stopping_, true);
  if (is_first) {
    target_.set_stopping();
    service_.stopping();
    reporter_.on_stopping();
  }
  const Duration drain = is_first ? options_.times.drain_timeout : Duration::zero();
  backstop_ =
      group_.host(0).after(drain + limits::kStopBackstop, [this](Instant) { stop_at_once(); });
  for (unsigned i = 0; i < group_.size(); ++i) {
    net::KernelHost& host = group_.host(i);
    host.post([server = servers_[i].get(), &host](Instant now) {
      server->stop(now, [&host](Instant) { host.stop(); });
    });
  }
}

void ServerAppImpl::stop_at_once() {
  for (unsigned i = 0; i < group_.size(); ++i) {
    net::KernelHost& host = group_.host(i);
    host.post([&host](Instant) { host.stop(); });
  }
}

}  // namespace

Result<std::unique_ptr<ServerApp>> ServerApp::create(ServerOptions options,
                                                     ServerReporter& reporter, Logger& log) {
  constexpr unsigned kMaxWorkers = 64;  // the index is a byte of every connection id
  if (options.workers > kMaxWorkers) {
    return fail(ErrorKind::configuration, "at most 64 workers", std::to_string(options.workers));
  }
  auto app = std::make_unique<ServerAppImpl>(std::move(options), reporter, log);
  CULVERT_CHECK(app->open());
  return app;
}

}  // namespace culvert::app
