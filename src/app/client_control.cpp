#include "app/client_control.h"

#include "app/server_control.h"
#include "net/unix_client.h"

#include <algorithm>
#include <utility>

namespace culvert::app {

ClientControl::ClientControl(Instant now, const std::unique_ptr<drive::Client>& client,
                             const ClientOptions& options, Logger& log)
    : client_(client),
      options_(options),
      log_(log),
      started_at_s_(unix_time_s()),
      started_at_(now) {}

void ClientControl::collect(Instant now, OnSnapshot done) {
  control::Snapshot snapshot{.role = "client",
                             .version = options_.version,
                             .state = is_stopping_ ? "stopping" : "connecting",
                             .pid = net::process_id(),
                             .started_at_s = started_at_s_,
                             .uptime = now - started_at_,
                             .endpoint_id = options_.identity.public_key().text(),
                             .server = options_.server.text()};
  if (client_) {
    const drive::ClientStats stats = client_->stats();
    snapshot.counters = {.sessions_resumed = stats.sessions_resumed,
                         .reconnect_attempts = stats.reconnect_attempts,
                         .flows_opened = stats.flows_opened,
                         .flows_refused = stats.flows_refused,
                         .flows_active = stats.flows_active,
                         .bytes_up = stats.bytes_up,
                         .bytes_down = stats.bytes_down,
                         .udp_dropped = stats.udp_dropped,
                         .path_changes = stats.path_changes};
    if (!is_stopping_ && stats.has_connected) snapshot.state = "reconnecting";
    snapshot.listening = {client_->local_address().text()};
    if (const auto path = client_->path()) {
      if (!is_stopping_) snapshot.state = "connected";
      snapshot.server_address = path->path.remote.text();
      snapshot.paths.push_back(path_info(path->path, path->connection));
    }
    for (const drive::TunnelStatus& tunnel : client_->tunnels()) {
      control::TunnelInfo& info = snapshot.tunnels.emplace_back(
          control::TunnelInfo{.label = tunnel.spec.label(),
                              .name = tunnel.spec.name,
                              .source = tunnel.spec.source.text(),
                              .target = tunnel.spec.target.text(),
                              .state = std::string(drive::to_string(tunnel.state)),
                              .reason = tunnel.reason,
                              .is_added_live = tunnel.spec.is_added_live,
                              .udp_idle_timeout = tunnel.spec.options.udp_idle_timeout,
                              .local_addresses = tunnel.local_addresses,
                              .flows_opened = tunnel.flows_opened,
                              .flows_refused = tunnel.flows_refused,
                              .flows_active = tunnel.flows_active,
                              .bytes_up = tunnel.bytes_up,
                              .bytes_down = tunnel.bytes_down});
      if (tunnel.next_retry) info.retry_in = std::max(Duration{}, *tunnel.next_retry - now);
    }
  }
  done(now, snapshot);
}

void ClientControl::kick(Instant now, std::uint64_t, std::string, OnDone done) {
  done(now, fail(ErrorKind::refused, "this is a client: its server has the sessions"));
}

void ClientControl::change_tunnel(Instant now, control::TunnelChange change, OnDone done) {
  done(now, this->change(now, std::move(change)));
}

Status ClientControl::change(Instant now, control::TunnelChange change) {
  if (!client_ || is_stopping_) {
    return fail(ErrorKind::refused,
                is_stopping_ ? "the client is stopping" : "the client is still starting");
  }
  if (change.action == control::TunnelAction::add) {
    auto spec = tunnel::TunnelSpec::make(change.name.value_or(""), std::move(*change.source),
                                         std::move(*change.target));
    if (!spec) return forward(spec);
    spec->is_enabled = change.is_enabled.value_or(true);
    spec->options.udp_idle_timeout = change.udp_idle_timeout.value_or(std::nullopt);
    spec->is_added_live = true;
    return client_->add_tunnel(now, std::move(*spec));
  }
  const auto& specs = client_->tunnel_set().tunnels();
  const auto found = std::ranges::find(specs, change.label, &tunnel::TunnelSpec::label);
  if (found == specs.end()) {
    return fail(ErrorKind::unreachable, "there is no such tunnel", change.label);
  }
  if (change.action == control::TunnelAction::remove) {
    return client_->remove_tunnel(now, change.label);
  }
  auto spec = tunnel::TunnelSpec::make(change.name.value_or(found->name),
                                       change.source.value_or(found->source),
                                       change.target.value_or(found->target));
  if (!spec) return forward(spec);
  spec->is_enabled = change.is_enabled.value_or(found->is_enabled);
  spec->options = found->options;
  if (change.udp_idle_timeout) spec->options.udp_idle_timeout = *change.udp_idle_timeout;
  spec->is_added_live = found->is_added_live;
  return client_->replace_tunnel(now, change.label, std::move(*spec));
}

}  // namespace culvert::app
