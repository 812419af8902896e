// The server role on one worker, its own or one that it shares with other roles. A process runs one
// Server per core, all with the same ServerShared; each has its own socket on the shared port, its
// own connections and flows.
#pragma once

#include "base/log.h"
#include "base/result.h"
#include "drive/counters.h"
#include "peer/audit.h"
#include "peer/role_event.h"
#include "peer/server_shared.h"
#include "peer/session_snapshot.h"
#include "ports/ports.h"
#include "quic/config.h"
#include "quic/endpoint.h"
#include "session/auth_gate.h"
#include "session/auth_policy.h"
#include "session/session_places.h"
#include "tunnel/allow_list.h"

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::drive {
class Worker;
}  // namespace culvert::drive

namespace culvert::role {

struct ServerConfig {
  quic::EndpointConfig endpoint;  // alpns: culvert/1 and mf/4
  SocketAddress bind;
  bool is_shared = false;  // several workers on this port
};

class Server {
 public:
  // `shared` outlives the server.
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(Host& host, Logger& log,
                                                              ServerConfig config,
                                                              peer::ServerShared& shared);
  // On a worker that is open, and outlives the server: its key and its port are the server's.
  // alpns: culvert/1 and mf/4, which no other role of the worker speaks.
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(drive::Worker& worker,
                                                              std::vector<std::string> alpns,
                                                              peer::ServerShared& shared);
  // Without a goodbye where the worker is its own and it was not stopped. Not from inside a
  // callback.
  virtual ~Server() = default;
  [[nodiscard]] virtual SocketAddress local_address() const = 0;
  virtual void start(Instant now) = 0;
  // Polite end: no new sessions or flows; running flows get until drain_timeout.
  // `on_stopped` is called from the loop. Again: flows end now; clients are told all the same.
  virtual void stop(Instant now, std::function<void(Instant)> on_stopped) = 0;
  // On the worker's thread. From now on this one decides. Ends the sessions whose credential
  // it does not hold, and the flows it does not allow, unless it keeps them. Lower limits
  // refuse what is new and end nothing.
  virtual void set_policy(Instant now, std::shared_ptr<const peer::ServerPolicy> policy) = 0;
  // What it tells of the worker is of all roles there.
  [[nodiscard]] virtual drive::Counters stats() const = 0;
  // Authenticated ones, by id; at most `max`.
  [[nodiscard]] virtual std::vector<peer::SessionSnapshot> sessions(std::size_t max) const = 0;
  // Ends a session that has lost its place to another client's. Nothing where it is over.
  virtual void give_up_session(Instant now, std::uint64_t session) = 0;
  // Ends a session; its client reads `reason`. False: this worker has none of that id.
  virtual bool kick(Instant now, std::uint64_t session, std::string_view reason) = 0;
};

}  // namespace culvert::role
