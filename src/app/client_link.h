// One server of a client: its session and its tunnels, on a worker with a thread of its own, so
// that nothing that happens to one server reaches another. Private to app/.
#pragma once

#include "app/link_finder.h"
#include "app/node.h"
#include "app/options.h"
#include "base/log.h"
#include "base/result.h"
#include "net/kernel_host.h"
#include "peer/role_event.h"
#include "role/client.h"
#include "tunnel/tunnel_set.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace culvert::app {

class ClientLink;

// Called on the main loop. The link outlives on_link_ended(), which may destroy it.
class ClientLinkOwner {
 public:
  virtual void on_link_connected(ClientLink& link, const SocketAddress& server) = 0;
  virtual void on_link_listening(ClientLink& link, const tunnel::TunnelSpec& tunnel,
                                 const std::string& local) = 0;
  // The last call. A clean end has no error.
  virtual void on_link_ended(Instant now, ClientLink& link, std::optional<Error> error,
                             const peer::ClientStats& stats) = 0;

 protected:
  ~ClientLinkOwner() = default;
};

// How a link is, copied from its worker.
struct LinkView {
  peer::ClientStats stats{};
  std::vector<peer::ClientPath> paths{};
  std::vector<flow::TunnelStatus> tunnels{};
  std::optional<flow::ProxyStatus> proxy{};
  std::string local_address{};  // empty where the client could not begin
};

// Owned by ClientServers. Made, asked and destroyed on the main loop's thread; the worker is
// met in tasks posted to its host, and answers in tasks posted to the main one.
class ClientLink {
 public:
  // All outlive the link. Begins to connect at once.
  ClientLink(Node& node, const ClientOptions& options, const ClientServer& server,
             tunnel::TunnelSet tunnels, peer::RoleEventSink& events, ClientLinkOwner& owner,
             Logger& log);
  // At once, without a goodbye when it has not ended.
  ~ClientLink();
  ClientLink(const ClientLink&) = delete;
  ClientLink& operator=(const ClientLink&) = delete;

  // Politely, within drain_timeout; on_link_ended() follows.
  void stop(bool at_once = false);
  using OnApplied = std::move_only_function<void(Instant now)>;
  void apply(tunnel::TunnelSet tunnels, OnApplied done);
  using OnView = std::move_only_function<void(Instant now, LinkView view)>;
  void look(OnView done);

 private:
  class Worker;
  template <typename Task>
  void post(const Task& task);

  Node& node_;
  net::HostGroup group_;
  LinkFinder finder_;
  std::unique_ptr<Worker> worker_;  // dies before its host, and before what it asks
  std::jthread thread_;
};

}  // namespace culvert::app
