#include "app/client_servers.h"

#include "base/limits.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace culvert::app {
namespace {

// What time may mend. Wrong credentials it does not, nor a server that has closed the session.
bool may_pass(ErrorKind kind) {
  return kind == ErrorKind::unreachable || kind == ErrorKind::io || kind == ErrorKind::limit;
}

}  // namespace

std::string_view to_string(ServerState state) {
  switch (state) {
    case ServerState::connecting:
      return "connecting";
    case ServerState::connected:
      return "connected";
    case ServerState::reconnecting:
      return "reconnecting";
    case ServerState::failed:
      return "failed";
    case ServerState::stopping:
      break;
  }
  return "stopping";
}

struct ClientServers::Server {
  explicit Server(ClientServer its_config) : config(std::move(its_config)) {}

  ClientServer config;
  std::unique_ptr<ClientLink> link;  // null: it has failed
  std::optional<Error> failure;
  std::optional<Instant> next_try;  // of one that has failed
  Duration retry_delay = limits::kServerRetryMin;
  std::unique_ptr<TimerPort> retry;
  // What happens when the link has ended: it is gone from the configuration, or has changed.
  bool is_leaving = false;
  // The last link was begun by a reload and has not connected: a mistake there must not end a
  // client that works; the next reload mends it.
  bool is_on_trial = false;
  std::optional<ClientServer> successor;
};

ClientServers::ClientServers(Node& node, const ClientOptions& options, peer::RoleEventSink& events,
                             ClientServersOwner& owner, Logger& log)
    : node_(node),
      options_(options),
      events_(events),
      owner_(owner),
      log_(log),
      tunnels_(options.tunnels) {}

ClientServers::~ClientServers() = default;

void ClientServers::start() {
  for (const ClientServer& config : options_.servers) {
    servers_.push_back(std::make_unique<Server>(config));
    begin(*servers_.back());
  }
}

void ClientServers::stop(bool at_once) {
  is_stopping_ = true;
  for (const auto& server : servers_) {
    server->retry.reset();
    if (server->link) server->link->stop(at_once);
  }
  finish_if_over();
}

void ClientServers::begin(Server& server) {
  server.failure.reset();
  server.next_try.reset();
  server.retry.reset();
  ClientLinkOwner& owner = *this;
  server.link = std::make_unique<ClientLink>(
      node_, options_, server.config, tunnels_.of_server(server.config.name), events_, owner, log_);
}

std::vector<std::string> ClientServers::names() const {
  std::vector<std::string> names;
  for (const auto& server : servers_) {
    if (!server->is_leaving) names.push_back(server->config.name);
  }
  return names;
}

ClientServers::Server* ClientServers::find(const ClientLink& link) {
  const auto found = std::ranges::find_if(
      servers_, [&](const auto& server) { return server->link.get() == &link; });
  return found == servers_.end() ? nullptr : found->get();
}

// --- what links tell -----------------------------------------------------------------------------

void ClientServers::on_link_connected(ClientLink& link, const SocketAddress& address) {
  Server* server = find(link);
  server->retry_delay = limits::kServerRetryMin;
  server->is_on_trial = false;
  owner_.on_server_connected(server->config.name, address);
}

void ClientServers::on_link_listening(ClientLink&, const tunnel::TunnelSpec& tunnel,
                                      const std::string& local) {
  owner_.on_server_listening(tunnel, local);
}

void ClientServers::on_link_ended(Instant now, ClientLink& link, std::optional<Error> error,
                                  const peer::ClientStats& stats) {
  Server& server = *find(link);
  server.link.reset();
  admin::add<drive::Counters>(ended_, stats);
  if (server.is_leaving) {
    std::erase_if(servers_, [&](const auto& other) { return other.get() == &server; });
  } else if (is_stopping_) {
    // stop() waits for all.
  } else if (server.successor) {
    server.config = std::move(*server.successor);
    server.successor.reset();
    server.is_on_trial = true;
    begin(server);
  } else {
    fail_server(now, server, std::move(error));
  }
  finish_if_over();
}

void ClientServers::fail_server(Instant now, Server& server, std::optional<Error> error) {
  if (error && !first_error_) first_error_ = error;
  server.failure = error ? std::move(*error) : Error{ErrorKind::cancelled, "it is done", {}};
  // Without the client's only server it ends, and says why.
  if (server.config.name.empty() && !server.is_on_trial) return;
  const std::string name =
      server.config.name.empty() ? std::string("the server") : server.config.name;
  if (!may_pass(server.failure->kind)) {
    log_.error("session", "{}: {}; it is not tried again before the configuration is read again",
               name, server.failure->text());
    return;
  }
  log_.warn("session", "{}: {}; trying again in {} s", name, server.failure->text(),
            std::chrono::duration_cast<std::chrono::seconds>(server.retry_delay).count());
  server.next_try = now + server.retry_delay;
  server.retry =
      node_.main().after(server.retry_delay, [this, &server](Instant) { begin(server); });
  server.retry_delay = std::min(2 * server.retry_delay, limits::kServerRetryMax);
}

void ClientServers::finish_if_over() {
  const bool is_over = std::ranges::none_of(servers_, [this](const auto& server) {
    return server->link != nullptr || (!is_stopping_ && (server->next_try || server->is_on_trial));
  });
  if (!is_over) return;
  if (first_error_ && !is_stopping_) {
    owner_.on_servers_ended(std::unexpected(std::move(*first_error_)));
  } else {
    owner_.on_servers_ended({});
  }
}

// --- changes -------------------------------------------------------------------------------------

void ClientServers::apply_tunnels(Instant now, tunnel::TunnelSet tunnels,
                                  ClientLink::OnApplied done) {
  struct Waiting {  // shared by the links' answers
    std::size_t missing = 1;
    ClientLink::OnApplied done;
    void answer(Instant at) {
      if (--missing == 0) done(at);
    }
  };
  const auto waiting = std::make_shared<Waiting>(1, std::move(done));
  const tunnel::TunnelSet before = std::exchange(tunnels_, std::move(tunnels));
  for (const auto& server : servers_) {
    const std::string& name = server->config.name;
    tunnel::TunnelSet own = tunnels_.of_server(name);
    if (!server->link || server->is_leaving || server->successor || own == before.of_server(name)) {
      continue;
    }
    ++waiting->missing;
    server->link->apply(std::move(own), [waiting](Instant at) { waiting->answer(at); });
  }
  waiting->answer(now);
}

Result<std::string> ClientServers::reload(Instant now, std::vector<ClientServer> servers,
                                          const tunnel::TunnelSet& tunnels) {
  const auto has_name = [](const std::string& name) {
    return [&name](const ClientServer& server) { return server.name == name; };
  };
  CULVERT_TRY(tunnel::TunnelSet wanted, tunnels_.reloaded(tunnels));
  // Those that were added live go with their server.
  for (const tunnel::TunnelSpec& tunnel : tunnels_.tunnels()) {
    if (!tunnel.is_added_live || std::ranges::any_of(servers, has_name(tunnel.server))) continue;
    if (auto without = wanted.without(tunnel.label())) wanted = std::move(*without);
  }
  const tunnel::TunnelDiff diff = tunnel::difference(tunnels_, wanted);
  first_error_.reset();
  std::size_t removed = 0;
  std::size_t changed = 0;
  std::size_t added = 0;
  // Servers and their tunnels that go give their ports free before others want them.
  for (auto& server : servers_) {
    const auto config = std::ranges::find_if(servers, has_name(server->config.name));
    if (server->is_leaving) {
      if (config == servers.end()) continue;
      ++added;  // back again, before it was gone
      server->is_leaving = false;
      server->successor = *config;
      continue;
    }
    if (config == servers.end()) {
      ++removed;
      server->is_leaving = true;
      server->retry.reset();
      server->next_try.reset();
      if (server->link) server->link->stop();
      continue;
    }
    const ClientServer& current = server->successor ? *server->successor : server->config;
    if (are_same(current, *config)) continue;
    ++changed;
    if (server->link) {
      server->successor = *config;
      server->link->stop();
    } else {
      server->config = *config;
    }
  }
  std::erase_if(servers_, [](const auto& server) { return server->is_leaving && !server->link; });
  apply_tunnels(now, std::move(wanted), [](Instant) {});
  for (const auto& server : servers_) {
    if (server->link) continue;
    server->is_on_trial = true;
    begin(*server);
  }
  for (const ClientServer& config : servers) {
    if (std::ranges::any_of(servers_, [&](const auto& server) {
          return !server->is_leaving && server->config.name == config.name;
        })) {
      continue;
    }
    ++added;
    servers_.push_back(std::make_unique<Server>(config));
    servers_.back()->is_on_trial = true;
    begin(*servers_.back());
  }
  std::string text;
  if (added + removed + changed > 0) {
    text = fmt::format("servers {} added, {} removed, {} changed; ", added, removed, changed);
  }
  return text + "tunnels " + diff.text();
}

// --- what can be seen ----------------------------------------------------------------------------

void ClientServers::look(Instant now, OnViews done) {
  struct Gather {  // shared by the links' answers
    std::size_t missing = 1;
    std::vector<ServerView> views{};
    OnViews done;
    void answer(Instant at) {
      if (--missing == 0) done(at, std::move(views));
    }
  };
  const auto gather = std::make_shared<Gather>(1, std::vector<ServerView>{}, std::move(done));
  for (const auto& server : servers_) {
    if (server->is_leaving) continue;
    const std::size_t index = gather->views.size();
    ServerView& view = gather->views.emplace_back(
        ServerView{.name = server->config.name, .id = server->config.id});
    if (is_stopping_) view.state = ServerState::stopping;
    if (!server->link) {
      view.state = ServerState::failed;
      if (server->failure) view.reason = server->failure->text();
      view.next_try = server->next_try;
      const tunnel::TunnelSet its_tunnels = tunnels_.of_server(view.name);
      for (const tunnel::TunnelSpec& spec : its_tunnels.tunnels()) {
        view.link.tunnels.push_back(
            {.spec = spec,
             .state = spec.is_enabled ? flow::TunnelState::waiting : flow::TunnelState::disabled});
      }
      continue;
    }
    ++gather->missing;
    server->link->look([gather, index](Instant at, LinkView link) {
      ServerView& found = gather->views[index];
      if (found.state != ServerState::stopping) {
        found.state = !link.paths.empty()        ? ServerState::connected
                      : link.stats.has_connected ? ServerState::reconnecting
                                                 : ServerState::connecting;
      }
      found.link = std::move(link);
      gather->answer(at);
    });
  }
  gather->answer(now);
}

}  // namespace culvert::app
