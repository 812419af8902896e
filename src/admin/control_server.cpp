#include "admin/control_server.h"

#include "admin/http_config.h"
#include "admin/instances.h"
#include "admin/json.h"
#include "base/limits.h"
#include "net/files.h"
#include "net/unix_client.h"
#include "net/unix_time.h"

#include <fmt/format.h>

#include <utility>

namespace culvert::admin {
ControlServer::ControlServer(net::KernelHost& host, ControlTarget& target)
    : host_(host), target_(target), api_(target, [this] { return counters(); }) {}

Status ControlServer::open(const ControlOptions& options, std::string_view role, int pid) {
  if (!options.metrics.empty()) {
    metrics_ = std::make_unique<http::Server>(
        host_, http_config(),
        [this](Instant now, const http::Request& request, http::Server::Answer answer) {
          on_metrics_request(now, request, std::move(answer));
        });
    hosts_ = options.metrics_hosts;
    hosts_.push_back(net::host_name());
    if (Status listening = listen_for_metrics(options.metrics); !listening) return listening;
    target_.log().info("control", "Metrics at http://{}/metrics", metrics_address()->text());
  }
  if (!options.is_enabled) return {};
  const bool is_default = options.socket.empty();
  socket_path_ =
      is_default ? fmt::format("{}/{}-{}.sock", options.directory, role, pid) : options.socket;
  socket_ = std::make_unique<http::Server>(
      host_, http_config(),
      [this](Instant now, const http::Request& request, http::Server::Answer answer) {
        on_request(now, request, std::move(answer));
      });
  Status opened = is_default ? net::make_private_directory(options.directory) : Status{};
  if (opened && is_default) remove_stale_instances(options.directory);
  if (opened) opened = socket_->listen(UnixPath{socket_path_});
  if (opened) {
    target_.log().debug("control", "control socket {}", socket_path_);
    return {};
  }
  socket_.reset();
  socket_path_.clear();
  if (!is_default) return std::unexpected(std::move(opened).error().in("control socket"));
  target_.log().warn("control", "no control socket: {}; culvert status will not find this process",
                     opened.error().text());
  return {};
}

Status ControlServer::listen_for_metrics(const std::vector<SocketAddress>& addresses) {
  std::optional<Error> first_error;
  bool is_listening = false;
  for (const SocketAddress& address : addresses) {
    if (Status listening = metrics_->listen(address); listening) {
      is_listening = true;
    } else if (!first_error) {
      first_error = std::move(listening).error().in("metrics");
    }
  }
  if (!is_listening) return std::unexpected(std::move(*first_error));
  // "localhost" may well be IPv4 only.
  if (first_error && first_error->kind != ErrorKind::unreachable) {
    target_.log().warn("control", "{}", first_error->text());
  }
  return {};
}

std::optional<SocketAddress> ControlServer::metrics_address() const {
  if (!metrics_) return std::nullopt;
  return std::get<SocketAddress>(metrics_->local_address());
}

ControlCounters ControlServer::counters() const {
  ControlCounters counters{.events_dropped = events_dropped_.load(std::memory_order_relaxed),
                           .hosts_refused = hosts_refused_};
  if (socket_) {
    counters.subscribers = socket_->subscriber_count();
    counters.subscribers_dropped = socket_->dropped_subscribers();
  }
  for (const http::Server* server : {socket_.get(), metrics_.get()}) {
    if (server != nullptr) counters.connections_dropped += server->dropped_connections();
  }
  return counters;
}

void ControlServer::on_metrics_request(Instant now, const http::Request& request,
                                       http::Server::Answer answer) {
  if (request.host && !http::is_own_host(*request.host, hosts_)) {
    ++hosts_refused_;
    answer(now, error_response(421, "is no name of this process", *request.host,
                               "ask by address, or give the name with --metrics-host"));
    return;
  }
  api_.handle_metrics_only(now, request, std::move(answer));
}

void ControlServer::on_request(Instant now, const http::Request& request,
                               http::Server::Answer answer) {
  api_.handle(now, request,
              [this, answer = std::move(answer)](Instant at, http::Response response) mutable {
                const bool is_subscription = response.is_event_stream;
                // Who has read the answer misses no event from then on.
                if (is_subscription) has_subscribers_.store(true, std::memory_order_relaxed);
                answer(at, std::move(response));
                if (is_subscription) update_subscribers();
              });
}

void ControlServer::update_subscribers() {
  has_subscribers_.store(socket_->subscriber_count() > 0, std::memory_order_relaxed);
}

void ControlServer::on_role_event(peer::RoleEvent event) {
  if (events_under_way_.fetch_add(1, std::memory_order_relaxed) >= limits::kMaxControlEvents) {
    events_under_way_.fetch_sub(1, std::memory_order_relaxed);
    events_dropped_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  const bool posted =
      host_.post([this, at_s = net::unix_time_s(), event = std::move(event)](Instant now) {
        events_under_way_.fetch_sub(1, std::memory_order_relaxed);
        socket_->publish(now, event_text(event, at_s));
        update_subscribers();
      });
  if (!posted) {
    events_under_way_.fetch_sub(1, std::memory_order_relaxed);
    events_dropped_.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace culvert::admin
