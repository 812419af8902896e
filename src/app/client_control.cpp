#include "app/client_control.h"

#include "app/server_control.h"
#include "net/unix_client.h"
#include "net/unix_time.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace culvert::app {
namespace {

admin::TunnelInfo tunnel_info(Instant now, const flow::TunnelStatus& tunnel) {
  admin::TunnelInfo info{.label = tunnel.spec.label(),
                         .name = tunnel.spec.name,
                         .server = tunnel.spec.server,
                         .source = tunnel.spec.source.text(),
                         .target = tunnel.spec.target.text(),
                         .state = std::string(flow::to_string(tunnel.state)),
                         .reason = tunnel.reason,
                         .is_added_live = tunnel.spec.is_added_live,
                         .options = tunnel.spec.options,
                         .local_addresses = tunnel.local_addresses,
                         .counters = tunnel.counters};
  if (tunnel.next_retry) info.retry_in = std::max(Duration{}, *tunnel.next_retry - now);
  return info;
}

// All in one state, or some connected and some not; otherwise that of the first.
std::string state_of(const std::vector<ServerView>& views) {
  const auto connected = std::ranges::count(views, ServerState::connected, &ServerView::state);
  if (views.empty()) return "stopping";
  if (connected > 0 && connected < std::ssize(views)) return "partly connected";
  return std::string(to_string(views.front().state));
}

}  // namespace

ClientControl::ClientControl(Instant now, ClientServers& servers, const ClientOptions& options,
                             Logger& log)
    : servers_(servers),
      options_(options),
      log_(log),
      started_at_s_(static_cast<std::int64_t>(net::unix_time_s())),
      started_at_(now) {}

void ClientControl::collect(Instant now, OnSnapshot done) {
  servers_.look(now, [this, done = std::move(done)](Instant at,
                                                    const std::vector<ServerView>& views) mutable {
    done(at, snapshot(at, views));
  });
}

admin::Snapshot ClientControl::snapshot(Instant now, const std::vector<ServerView>& views) const {
  admin::Snapshot snapshot{.role = "client",
                           .version = options_.version,
                           .state = state_of(views),
                           .pid = net::process_id(),
                           .started_at_s = started_at_s_,
                           .uptime = now - started_at_,
                           .endpoint_id = options_.identity.public_key().text()};
  for (const ServerView& view : views) {
    admin::ServerInfo& server =
        snapshot.servers.emplace_back(admin::ServerInfo{.name = view.name,
                                                        .state = std::string(to_string(view.state)),
                                                        .reason = view.reason,
                                                        .endpoint_id = view.id.text()});
    admin::add<drive::Counters>(server.counters, view.link.stats);
    admin::add(snapshot.counters, server.counters);
    if (view.next_try) server.retry_in = std::max(Duration{}, *view.next_try - now);
    for (const peer::ClientPath& path : view.link.paths) {
      if (server.address.empty()) server.address = path.path.remote.text();
      admin::PathInfo& info = snapshot.paths.emplace_back(path_info(path.path, path.connection));
      info.server = view.name;
      if (path.is_standby) info.state = "standby";
      if (path.is_silent) info.state = "silent";
    }
    if (view.link.proxy) {
      server.proxy = admin::ProxyInfo{.target = view.link.proxy->target,
                                      .state = std::string(to_string(view.link.proxy->state)),
                                      .reason = view.link.proxy->reason,
                                      .local_addresses = view.link.proxy->local_addresses};
    }
    if (!view.link.local_address.empty()) snapshot.listening.push_back(view.link.local_address);
    for (const flow::TunnelStatus& tunnel : view.link.tunnels) {
      snapshot.tunnels.push_back(tunnel_info(now, tunnel));
    }
  }
  return snapshot;
}

void ClientControl::kick(Instant now, std::uint64_t, std::string, OnDone done) {
  done(now, fail(ErrorKind::refused, "this is a client: its server has the sessions"));
}

void ClientControl::change_tunnel(Instant now, admin::TunnelChange change, OnDone done) {
  if (is_stopping_) {
    done(now, fail(ErrorKind::refused, "the client is stopping"));
    return;
  }
  auto set = changed(std::move(change));
  if (!set) {
    done(now, forward(set));
    return;
  }
  servers_.apply_tunnels(now, std::move(*set),
                         [done = std::move(done)](Instant at) mutable { done(at, {}); });
}

Result<std::string> ClientControl::server_named(const std::optional<std::string>& name) const {
  const std::vector<std::string> names = servers_.names();
  if (!name && names.size() == 1) return names.front();
  if (name && std::ranges::find(names, *name) != names.end()) return *name;
  return fail(ErrorKind::configuration,
              names.size() == 1 && names.front().empty()
                  ? "this client has one server, which has no name"
                  : fmt::format("must be one of the servers: {}", fmt::join(names, ", ")),
              name ? *name : "server");
}

Result<tunnel::TunnelSet> ClientControl::changed(admin::TunnelChange change) const {
  const tunnel::TunnelSet& set = servers_.tunnels();
  if (change.action == admin::TunnelAction::add) {
    CULVERT_TRY(tunnel::TunnelSpec spec,
                tunnel::TunnelSpec::make(change.name.value_or(""), std::move(*change.source),
                                         std::move(*change.target)));
    CULVERT_TRY(spec.server, server_named(change.server));
    spec.is_enabled = change.is_enabled.value_or(true);
    change.apply_options(spec.options);
    spec.is_added_live = true;
    return set.with(std::move(spec));
  }
  const auto found = std::ranges::find(set.tunnels(), change.label, &tunnel::TunnelSpec::label);
  if (found == set.tunnels().end()) {
    return fail(ErrorKind::not_found, "there is no such tunnel", change.label);
  }
  if (change.action == admin::TunnelAction::remove) return set.without(change.label);
  CULVERT_TRY(tunnel::TunnelSpec spec,
              tunnel::TunnelSpec::make(change.name.value_or(found->name),
                                       change.source.value_or(found->source),
                                       change.target.value_or(found->target)));
  spec.server = found->server;
  if (change.server) {
    CULVERT_TRY(spec.server, server_named(change.server));
  }
  spec.is_enabled = change.is_enabled.value_or(found->is_enabled);
  spec.options = found->options;
  change.apply_options(spec.options);
  spec.is_added_live = found->is_added_live;
  return set.with_replaced(change.label, std::move(spec));
}

}  // namespace culvert::app
