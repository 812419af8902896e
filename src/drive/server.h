// The server role on one worker, its own or one that it shares with other roles. A process runs one
// Server per core, all with the same ServerShared; each has its own socket on the shared port, its
// own connections and flows.
#pragma once

#include "base/log.h"
#include "base/result.h"
#include "drive/audit.h"
#include "drive/counters.h"
#include "drive/role_event.h"
#include "drive/session_snapshot.h"
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

// Who and what a server lets through. A value that never changes: a live change gives every
// worker another one (Server::set_policy).
struct ServerPolicy {
  session::ServerAuthPolicy auth;
  tunnel::SourcePolicy sources;  // the allow lists for TCP, UDP and Unix sockets
  std::uint32_t max_sessions = limits::kDefaultMaxSessions;
  std::uint32_t max_sessions_per_credential = 0;  // 0: session::default_share()
  std::uint32_t max_flows_per_session = limits::kDefaultMaxFlowsPerSession;
  Duration udp_flow_idle = limits::kUdpFlowIdle;
  // Sessions whose credential is no longer good, and flows to sources that are no longer
  // allowed, go on to their own end.
  bool keeps_revoked = false;
};

struct ServerTimes {
  Duration drain_timeout = limits::kDrainTimeout;
  Duration resume_grace = limits::kResumeGrace;  // sessions without connection; 0: none
};

// What all workers of a server share. Immutable but for the counters and what guards itself.
struct ServerShared {
  std::shared_ptr<const ServerPolicy> policy;  // at the start; shared by workers and flows
  ServerTimes times{};
  std::uint32_t log_sample_interval = limits::kLockoutLogSample;
  // These outlive the servers and are used from every worker's thread; null: none.
  RoleEventSink* events = nullptr;
  session::AuthGate* auth_gate = nullptr;
  AuditSink* audit = nullptr;
  // Sockets towards sources that one session may have; set before the first one begins.
  std::uint32_t descriptors_per_session = std::numeric_limits<std::uint32_t>::max();
  // Authenticated sessions over all workers; several threads need another one than this.
  session::SessionPlaces own_places{};
  session::SessionGate* places = &own_places;
  // Asks another worker for Server::give_up_session, on its thread; null: there is no other.
  std::function<void(std::uint8_t worker, std::uint64_t session)> give_up_elsewhere{};
  // The addresses of this machine are others now; called by every worker, on its thread.
  std::function<void(Instant now, std::uint8_t worker)> on_network_changed{};
  std::atomic<std::uint64_t> next_session_id{1};
};

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
                                                              ServerShared& shared);
  // On a worker that is open, and outlives the server: its key and its port are the server's.
  // alpns: culvert/1 and mf/4, which no other role of the worker speaks.
  [[nodiscard]] static Result<std::unique_ptr<Server>> create(Worker& worker,
                                                              std::vector<std::string> alpns,
                                                              ServerShared& shared);
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
  virtual void set_policy(Instant now, std::shared_ptr<const ServerPolicy> policy) = 0;
  // What it tells of the worker is of all roles there.
  [[nodiscard]] virtual Counters stats() const = 0;
  // Authenticated ones, by id; at most `max`.
  [[nodiscard]] virtual std::vector<SessionSnapshot> sessions(std::size_t max) const = 0;
  // Ends a session that has lost its place to another client's. Nothing where it is over.
  virtual void give_up_session(Instant now, std::uint64_t session) = 0;
  // Ends a session; its client reads `reason`. False: this worker has none of that id.
  virtual bool kick(Instant now, std::uint64_t session, std::string_view reason) = 0;
};

}  // namespace culvert::drive
