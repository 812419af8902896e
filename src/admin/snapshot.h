// What a running role shows of itself: plain values, copied from the workers when somebody
// asks. Every route and metric is made from these. Texts may hold what peers and users
// chose: they are escaped where they are written.
#pragma once

#include "admin/counters.h"
#include "base/time.h"
#include "drive/counters.h"
#include "quic/connection.h"
#include "session/auth_limiter.h"
#include "tunnel/source.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace culvert::admin {

// One QUIC connection's way to its peer.
struct PathInfo {
  std::string server{};       // client with several: which
  std::uint64_t session = 0;  // server: SessionInfo::id; client: 0
  std::string local{};
  std::string remote{};
  std::string state = "active";  // standby: carries nothing now; silent: does not answer
  quic::ConnectionStats stats{};
};

struct SessionInfo {
  std::uint64_t id = 0;   // unique in this process
  std::string client{};   // EndpointId
  std::string comment{};  // of the token or key it logged in with
  std::string address{};
  Duration age{};
  SessionCounters counters{};
};

struct TunnelInfo {
  std::string label{};  // what changes name it by
  std::string name{};
  std::string server{};  // of several: which
  std::string source{};
  std::string target{};
  std::string state{};   // waiting, listening, source_refused, failed, disabled
  std::string reason{};  // of source_refused and failed
  bool is_added_live = false;
  tunnel::TunnelOptions options{};
  std::vector<std::string> local_addresses{};
  std::optional<Duration> retry_in{};
  drive::TunnelCounters counters{};
};

// Client: its local proxy port.
struct ProxyInfo {
  std::string target{};
  std::string state{};   // waiting, listening, failed
  std::string reason{};  // what could not be opened, and why
  std::vector<std::string> local_addresses{};
};

// Client: one server that it uses.
struct ServerInfo {
  std::string name{};    // empty: the only one
  std::string state{};   // connecting, connected, reconnecting, failed, stopping
  std::string reason{};  // of failed: why
  std::string endpoint_id{};
  std::string address{};  // where it was reached; empty before
  std::optional<Duration> retry_in{};
  std::optional<ProxyInfo> proxy{};
  drive::Counters counters{};
};

struct Snapshot {
  std::string role{};  // server, client
  std::string version{};
  std::string state{};  // server: serving, stopping; client: as ServerInfo, or partly connected
  int pid = 0;
  std::int64_t started_at_s = 0;  // Unix time
  Duration uptime{};
  std::string endpoint_id{};
  std::vector<std::string> listening{};
  std::vector<ServerInfo> servers{};  // client
  drive::Counters counters{};
  std::optional<session::AuthMetrics> auth{};  // server
  std::optional<AuditInfo> audit{};            // server that keeps one
  std::vector<SessionInfo> sessions{};         // server; at most limits::kMaxListedSessions
  std::vector<PathInfo> paths{};
  std::vector<TunnelInfo> tunnels{};  // client
};

}  // namespace culvert::admin
