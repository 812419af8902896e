#include "app/client_link.h"

#include "app/debug_sinks.h"

#include <array>
#include <utility>

namespace culvert::app {
namespace {

// Until the main loop takes tasks again.
constexpr Duration kPostRetry = std::chrono::milliseconds(100);

}  // namespace

// Everything on the link's own thread, but for its making and its end.
class ClientLink::Worker final : private peer::ClientObserver, private peer::RoleEventSink {
 public:
  Worker(ClientLink& link, const ClientOptions& options, ClientServer server,
         tunnel::TunnelSet tunnels, peer::RoleEventSink& events, ClientLinkOwner& owner,
         Logger& log)
      : link_(link),
        options_(options),
        server_(std::move(server)),
        tunnels_(std::move(tunnels)),
        events_(events),
        owner_(owner),
        log_(log, server_.name) {}

  [[nodiscard]] net::KernelHost& host() { return link_.group_.host(0); }
  void start();
  void stop(Instant now, bool at_once);
  void apply(Instant now, tunnel::TunnelSet tunnels);
  [[nodiscard]] LinkView view() const;

 private:
  [[nodiscard]] Status connect(Instant now);
  void end(std::optional<Error> error);
  void tell_end();

  void on_connected(Instant now, const SocketAddress& server) override;
  void on_listening(Instant now, const tunnel::TunnelSpec& tunnel,
                    const std::string& local_address) override;
  void on_finished(Instant now, std::optional<Error> error) override;
  [[nodiscard]] bool wants_events() const override { return events_.wants_events(); }
  void on_role_event(peer::RoleEvent event) override {
    event.server = server_.name;
    events_.on_role_event(std::move(event));
  }

  ClientLink& link_;
  const ClientOptions& options_;
  const ClientServer server_;
  tunnel::TunnelSet tunnels_;  // for the client, until there is one
  peer::RoleEventSink& events_;
  ClientLinkOwner& owner_;
  Logger log_;
  std::unique_ptr<role::Client> client_;
  std::optional<Error> error_;
  std::unique_ptr<TimerPort> backstop_;  // of a polite stop
  std::unique_ptr<TimerPort> post_retry_;
  bool is_stopping_ = false;
  bool has_ended_ = false;
};

void ClientLink::Worker::start() {
  if (const Status begun = connect(host().now()); !begun) end(begun.error());
}

Status ClientLink::Worker::connect(Instant now) {
  std::vector<SocketAddress> addresses;
  std::vector<HostPort> names;
  for (const HostPort& address : server_.addresses) {
    if (const auto literal = address.literal()) {
      addresses.push_back(*literal);
    } else {
      names.push_back(address);
    }
  }
  CULVERT_TRY(DebugSinks sinks, DebugSinks::open(options_.debug, log_));
  std::array<std::uint8_t, 32> secret{};
  host().rng().fill(secret);
  peer::ClientConfig config{.endpoint = {.identity = link_.node_.identity(),
                                         .alpns = {},
                                         .transport = options_.transport,
                                         .protection = options_.protection,
                                         .static_secret = Secret(secret),
                                         .key_log = std::move(sinks.key_log),
                                         .qlog = std::move(sinks.qlog)},
                            .server = server_.id,
                            .addresses = std::move(addresses),
                            .names = std::move(names),
                            .finder = &link_.finder_,
                            .credentials = server_.credentials,
                            .dialect = server_.dialect,
                            .tunnels = std::move(tunnels_),
                            .socks5 = server_.socks5,
                            .stdio = options_.stdio,
                            .policy = options_.policy,
                            .events = this};
  CULVERT_TRY(client_, role::Client::create(host(), log_, std::move(config), *this));
  client_->start(now);
  return {};
}

void ClientLink::Worker::stop(Instant now, bool at_once) {
  if (std::exchange(is_stopping_, true) && !at_once) return;
  if (!client_) return end({});
  const Duration drain = at_once ? Duration::zero() : options_.policy.drain_timeout;
  backstop_ = host().after(drain + limits::kStopBackstop, [this](Instant) { end({}); });
  client_->stop(now);
  if (at_once) client_->stop(now);
}

void ClientLink::Worker::apply(Instant now, tunnel::TunnelSet tunnels) {
  if (client_) {
    client_->apply_tunnels(now, std::move(tunnels));
  } else {
    tunnels_ = std::move(tunnels);
  }
}

LinkView ClientLink::Worker::view() const {
  LinkView view;
  if (client_) {
    view.stats = client_->stats();
    view.paths = client_->paths();
    view.tunnels = client_->tunnels();
    view.proxy = client_->proxy();
    view.local_address = client_->local_address().text();
    return view;
  }
  for (const tunnel::TunnelSpec& spec : tunnels_.tunnels()) {
    view.tunnels.push_back(
        {.spec = spec,
         .state = spec.is_enabled ? flow::TunnelState::waiting : flow::TunnelState::disabled});
  }
  if (server_.socks5) view.proxy = flow::ProxyStatus{.target = server_.socks5->text()};
  return view;
}

void ClientLink::Worker::end(std::optional<Error> error) {
  if (std::exchange(has_ended_, true)) return;
  error_ = std::move(error);
  tell_end();
}

void ClientLink::Worker::tell_end() {
  const bool is_posted = link_.node_.main().post(
      [&link = link_, &owner = owner_, error = error_,
       stats = client_ ? client_->stats() : peer::ClientStats{}](Instant now) mutable {
        owner.on_link_ended(now, link, std::move(error), stats);
      });
  if (!is_posted) post_retry_ = host().after(kPostRetry, [this](Instant) { tell_end(); });
}

void ClientLink::Worker::on_connected(Instant, const SocketAddress& server) {
  link_.node_.main().post(
      [&link = link_, &owner = owner_, server](Instant) { owner.on_link_connected(link, server); });
}

void ClientLink::Worker::on_listening(Instant, const tunnel::TunnelSpec& tunnel,
                                      const std::string& local_address) {
  link_.node_.main().post([&link = link_, &owner = owner_, tunnel, local_address](Instant) {
    owner.on_link_listening(link, tunnel, local_address);
  });
}

void ClientLink::Worker::on_finished(Instant, std::optional<Error> error) {
  if (error && error->kind == ErrorKind::cancelled) error.reset();
  end(std::move(error));
}

// --- the main loop's side ------------------------------------------------------------------------

ClientLink::ClientLink(Node& node, const ClientOptions& options, const ClientServer& server,
                       tunnel::TunnelSet tunnels, peer::RoleEventSink& events,
                       ClientLinkOwner& owner, Logger& log)
    : node_(node),
      group_(log, node.options().udp, 1, node.options().interfaces),
      finder_(node.main(), node.finder(), group_.host(0)),
      worker_(std::make_unique<Worker>(*this, options, server, std::move(tunnels), events, owner,
                                       log)) {
  thread_ = std::jthread([this] {
    worker_->start();
    group_.host(0).run();
  });
}

// Nothing that is asked of the worker may be lost. A full mailbox is that of a worker with very
// much to do; it never waits for us.
template <typename Task>
void ClientLink::post(const Task& task) {
  while (!group_.host(0).post(task)) std::this_thread::yield();
}

ClientLink::~ClientLink() {
  net::KernelHost& host = group_.host(0);
  post([&host](Instant) { host.stop(); });
  thread_.join();
}

void ClientLink::stop(bool at_once) {
  Worker& worker = *worker_;
  post([&worker, at_once](Instant now) { worker.stop(now, at_once); });
}

void ClientLink::apply(tunnel::TunnelSet tunnels, OnApplied done) {
  struct Change {
    tunnel::TunnelSet tunnels;
    OnApplied done;
  };
  // The task is copied when it is tried again. What `done` holds is the main loop's: it goes
  // there, whichever thread lets go of the task last.
  const auto change = std::make_shared<Change>(std::move(tunnels), std::move(done));
  Worker& worker = *worker_;
  post([&worker, &main = node_.main(), change](Instant now) {
    worker.apply(now, std::move(change->tunnels));
    main.post([change](Instant at) {
      OnApplied answer = std::move(change->done);
      answer(at);
    });
  });
}

void ClientLink::look(OnView done) {
  const auto answer = std::make_shared<OnView>(std::move(done));  // as in apply()
  Worker& worker = *worker_;
  post([&worker, &main = node_.main(), answer](Instant) {
    main.post([answer, view = worker.view()](Instant at) mutable {
      OnView call = std::move(*answer);
      call(at, std::move(view));
    });
  });
}

}  // namespace culvert::app
