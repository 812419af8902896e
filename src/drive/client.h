// The client role on one worker, its own or one that it shares with other roles: dials the server,
// authenticates, opens local listeners and carries every accepted connection and datagram through
// the tunnel. Runs on any Host: the kernel's or a simulated one.
#pragma once

#include "base/log.h"
#include "base/multipath.h"
#include "base/result.h"
#include "drive/counters.h"
#include "drive/role_event.h"
#include "drive/tunnel_status.h"
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

class PeerFinder;
class Worker;

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
struct ClientStats : Counters {
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

class Client {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Client>> create(Host& host, Logger& log,
                                                              ClientConfig config,
                                                              ClientObserver& observer);
  // On a worker that is open, and outlives the client: its key and its port are the client's.
  [[nodiscard]] static Result<std::unique_ptr<Client>> create(Worker& worker, ClientConfig config,
                                                              ClientObserver& observer);
  // Without a goodbye where the worker is its own and it was not stopped. Not from inside a
  // callback.
  virtual ~Client() = default;
  virtual void start(Instant now) = 0;
  // Polite end: listeners close, flows get until drain_timeout, then on_finished. Again: flows end
  // now; the server is told all the same.
  virtual void stop(Instant now) = 0;
  [[nodiscard]] virtual ClientStats stats() const = 0;
  // That of the session's own connection first; nothing while there is no session.
  [[nodiscard]] virtual std::vector<ClientPath> paths() const = 0;
  [[nodiscard]] virtual SocketAddress local_address() const = 0;

  // --- tunnels while it runs; on the loop's thread, as everything else -----------------------
  [[nodiscard]] virtual const tunnel::TunnelSet& tunnel_set() const = 0;
  // In the order of the set.
  [[nodiscard]] virtual std::vector<TunnelStatus> tunnels() const = 0;
  // Empty: it has none.
  [[nodiscard]] virtual std::optional<ProxyStatus> proxy() const = 0;
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

}  // namespace culvert::drive
