// The client role on one worker, its own or one that it shares with other roles: dials the server,
// authenticates, opens local listeners and carries every accepted connection and datagram through
// the tunnel. Runs on any Host: the kernel's or a simulated one.
#pragma once

#include "base/log.h"
#include "base/multipath.h"
#include "base/result.h"
#include "drive/counters.h"
#include "flow/tunnel_status.h"
#include "peer/client_config.h"
#include "peer/role_event.h"
#include "ports/ports.h"
#include "quic/config.h"
#include "quic/connection.h"
#include "session/auth_policy.h"
#include "session/dialect.h"
#include "tunnel/source.h"
#include "tunnel/tunnel_set.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::drive {
class Worker;
}  // namespace culvert::drive

namespace culvert::peer {
class PeerFinder;
}  // namespace culvert::peer

namespace culvert::role {

class Client {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Client>> create(Host& host, Logger& log,
                                                              peer::ClientConfig config,
                                                              peer::ClientObserver& observer);
  // On a worker that is open, and outlives the client: its key and its port are the client's.
  [[nodiscard]] static Result<std::unique_ptr<Client>> create(drive::Worker& worker,
                                                              peer::ClientConfig config,
                                                              peer::ClientObserver& observer);
  // Without a goodbye where the worker is its own and it was not stopped. Not from inside a
  // callback.
  virtual ~Client() = default;
  virtual void start(Instant now) = 0;
  // Polite end: listeners close, flows get until drain_timeout, then on_finished. Again: flows end
  // now; the server is told all the same.
  virtual void stop(Instant now) = 0;
  [[nodiscard]] virtual peer::ClientStats stats() const = 0;
  // That of the session's own connection first; nothing while there is no session.
  [[nodiscard]] virtual std::vector<peer::ClientPath> paths() const = 0;
  [[nodiscard]] virtual SocketAddress local_address() const = 0;

  // --- tunnels while it runs; on the loop's thread, as everything else -----------------------
  [[nodiscard]] virtual const tunnel::TunnelSet& tunnel_set() const = 0;
  // In the order of the set.
  [[nodiscard]] virtual std::vector<flow::TunnelStatus> tunnels() const = 0;
  // Empty: it has none.
  [[nodiscard]] virtual std::optional<flow::ProxyStatus> proxy() const = 0;
  // Makes `tunnels` the whole set. Tunnels that are alike in both keep their listeners and
  // flows; one that is gone, changed or disabled loses them; one that cannot listen gets
  // the state `failed` and tries again.
  virtual tunnel::TunnelDiff apply_tunnels(Instant now, tunnel::TunnelSet tunnels) = 0;

  // The same for one tunnel; `label` is TunnelSpec::label(). An error changed nothing.
  [[nodiscard]] Status add_tunnel(Instant now, tunnel::TunnelSpec tunnel);
  [[nodiscard]] Status remove_tunnel(Instant now, std::string_view label);
  [[nodiscard]] Status replace_tunnel(Instant now, std::string_view label,
                                      tunnel::TunnelSpec tunnel);
  [[nodiscard]] Status enable_tunnel(Instant now, std::string_view label, bool is_enabled = true);
};

}  // namespace culvert::role
