// Who and what a server lets through, and what its workers share.
#pragma once

#include "base/log.h"
#include "peer/audit.h"
#include "peer/role_event.h"
#include "session/auth_gate.h"
#include "session/auth_policy.h"
#include "session/session_places.h"
#include "tunnel/allow_list.h"

#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

namespace culvert::peer {

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

}  // namespace culvert::peer
