// How a client behaves, whom it talks to, and how it is.
#pragma once

#include "base/log.h"
#include "base/multipath.h"
#include "base/result.h"
#include "drive/counters.h"
#include "peer/role_event.h"
#include "quic/config.h"
#include "quic/connection.h"
#include "session/auth_policy.h"
#include "session/dialect.h"
#include "tunnel/source.h"
#include "tunnel/tunnel_set.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::peer {

class PeerFinder;

// How a client behaves, whoever its server is.
struct ClientPolicy {
  Duration connect_timeout = limits::kDialTimeout;
  Duration udp_flow_idle = limits::kUdpFlowIdle;
  Duration drain_timeout = limits::kDrainTimeout;
  // Flows wait this long for a lost connection to come back; 0: they end with it.
  Duration resume_grace = limits::kResumeGrace;
  // Tries in a row to reach a server that was lost; 0: the client ends. Empty: for ever.
  std::optional<std::uint32_t> max_reconnect_attempts{};
  Multipath multipath = Multipath::fastest;  // of flows that do not say otherwise
};

struct ClientConfig {
  quic::EndpointConfig endpoint;  // of a worker of its own
  crypto::EndpointId server;
  std::vector<SocketAddress> addresses;  // all tried at once; the first to answer wins
  std::vector<HostPort> names{};         // looked up for every try; what they stand for as well
  // Looks them up, and may know more of the server; on the client's loop, outlives it. Null: the
  // client looks them up itself.
  PeerFinder* finder = nullptr;
  session::ClientCredentials credentials;
  session::Dialect dialect = session::Dialect::culvert_1;
  tunnel::TunnelSet tunnels;             // at the start
  std::optional<tunnel::Target> socks5;  // listen there, on one TCP port
  std::optional<tunnel::Source> stdio;   // -W: connect stdin/stdout to this, end with it
  ClientPolicy policy{};
  RoleEventSink* events = nullptr;  // outlives the client
};

// What it tells of the worker is of all roles there.
struct ClientStats : drive::Counters {
  bool is_connected = false;
  bool has_connected = false;  // once at least
  quic::ConnectionStats connection;
};

// A connection of the session.
struct ClientPath {
  PathId path;
  quic::ConnectionStats connection;
  bool is_standby = false;  // carries nothing as long as the first one works
  bool is_silent = false;   // does not answer at present
};

// What the program around the client learns. Called from the loop.
class ClientObserver {
 public:
  virtual ~ClientObserver() = default;
  virtual void on_connected(Instant now, const SocketAddress& server) = 0;  // the first time
  virtual void on_listening(Instant now, const tunnel::TunnelSpec& tunnel,
                            const std::string& local_address) = 0;
  // The client is over. A clean end (stdio finished, stop()) has no error.
  virtual void on_finished(Instant now, std::optional<Error> error) = 0;
};

}  // namespace culvert::peer
