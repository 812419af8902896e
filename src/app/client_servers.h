// The servers that a client uses: one, or several by name. Starts, restarts and ends their links
// as the configuration changes; a failure of one is its own. Private to app/.
#pragma once

#include "admin/counters.h"
#include "app/client_link.h"
#include "app/node.h"
#include "app/options.h"
#include "tunnel/tunnel_set.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::app {

class ClientServersOwner {
 public:
  virtual void on_server_connected(const std::string& name, const SocketAddress& address) = 0;
  virtual void on_server_listening(const tunnel::TunnelSpec& tunnel, const std::string& local) = 0;
  // No server is left that could be reached, or stop() is done. With an error of the first.
  virtual void on_servers_ended(Status status) = 0;

 protected:
  ~ClientServersOwner() = default;
};

enum class ServerState : std::uint8_t { connecting, connected, reconnecting, failed, stopping };
[[nodiscard]] std::string_view to_string(ServerState state);

// How one server is.
struct ServerView {
  std::string name{};
  crypto::EndpointId id{};
  ServerState state = ServerState::connecting;
  std::string reason{};               // failed: why
  std::optional<Instant> next_try{};  // failed: but not for good
  LinkView link{};
};

// Owned by the client app; everything on the main loop.
class ClientServers final : private ClientLinkOwner {
 public:
  // All outlive it; `options` does not change.
  ClientServers(Node& node, const ClientOptions& options, peer::RoleEventSink& events,
                ClientServersOwner& owner, Logger& log);
  ~ClientServers();

  void start();
  void stop(bool at_once);
  [[nodiscard]] const tunnel::TunnelSet& tunnels() const { return tunnels_; }
  [[nodiscard]] std::vector<std::string> names() const;
  // Makes this the whole set; `done` when every link has it.
  void apply_tunnels(Instant now, tunnel::TunnelSet tunnels, ClientLink::OnApplied done);
  // As the configuration is now: servers come and go, one that differs in itself is restarted
  // (its flows end), one that has failed is tried again. Gives a line for the log. An error
  // changed nothing.
  [[nodiscard]] Result<std::string> reload(Instant now, std::vector<ClientServer> servers,
                                           const tunnel::TunnelSet& tunnels);
  using OnViews = std::move_only_function<void(Instant now, std::vector<ServerView> views)>;
  void look(Instant now, OnViews done);
  // Of all links that there were and are no more.
  [[nodiscard]] const drive::Counters& counters() const { return ended_; }

 private:
  struct Server;
  void on_link_connected(ClientLink& link, const SocketAddress& address) override;
  void on_link_listening(ClientLink& link, const tunnel::TunnelSpec& tunnel,
                         const std::string& local) override;
  void on_link_ended(Instant now, ClientLink& link, std::optional<Error> error,
                     const peer::ClientStats& stats) override;
  void begin(Server& server);
  void fail_server(Instant now, Server& server, std::optional<Error> error);
  void finish_if_over();
  [[nodiscard]] Server* find(const ClientLink& link);

  Node& node_;
  const ClientOptions& options_;
  peer::RoleEventSink& events_;
  ClientServersOwner& owner_;
  Logger& log_;
  tunnel::TunnelSet tunnels_;
  std::vector<std::unique_ptr<Server>> servers_;
  drive::Counters ended_;
  std::optional<Error> first_error_;
  bool is_stopping_ = false;
};

}  // namespace culvert::app
