// What a role is started with, after flags, environment and files have been read and
// parsed (cli/). Plain values: nothing here knows how it was spelt.
#pragma once

#include "admin/control_server.h"
#include "base/address.h"
#include "crypto/keys.h"
#include "net/features.h"
#include "net/interfaces.h"
#include "quic/config.h"
#include "role/client.h"
#include "role/server.h"
#include "session/auth_limiter.h"
#include "session/auth_policy.h"
#include "session/dialect.h"
#include "tunnel/source.h"
#include "tunnel/tunnel_set.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace culvert::app {

// For developers; everything off unless asked for by an explicit flag.
struct DebugOptions {
  std::string qlog_directory{};  // one .sqlog file a connection; empty: off
  std::string key_log_file{};    // NSS key log (SSLKEYLOGFILE format); empty: off. Breaks secrecy.
};

// What a reload found beside what it is for.
struct ReloadNotes {
  std::vector<std::string> needs_restart{};  // settings that differ from those of the start
  std::vector<std::string> files{};          // what --watch-config watches from now on
};

struct ServerReload {
  peer::ServerPolicy policy;
  session::AuthLimits auth_limits;
  ReloadNotes notes;
};

// One server that a client uses.
struct ClientServer {
  std::string name{};  // unique among several; empty: the only one
  crypto::EndpointId id{};
  // All are tried, the first to answer wins; names are looked up for every try.
  std::vector<HostPort> addresses{};
  session::ClientCredentials credentials{};
  session::Dialect dialect = session::Dialect::culvert_1;
  std::optional<tunnel::Target> socks5{};  // of one TCP port
};
// Whether a session with the one is as good as one with the other.
[[nodiscard]] bool are_same(const ClientServer& a, const ClientServer& b);

struct ClientReload {
  std::vector<ClientServer> servers;
  tunnel::TunnelSet tunnels;
  ReloadNotes notes;
};

struct ServerOptions {
  crypto::SecretKey identity;
  peer::ServerPolicy policy{};
  // [::]:port carries IPv4 too. Port 0: any; the first worker picks, the others share it.
  SocketAddress bind{IpAddress::any(Family::v6), 0};
  // Where a router or load balancer forwards to us from: first in the ticket.
  std::vector<SocketAddress> external_addresses{};
  // What clients may speak, best first.
  std::vector<session::Dialect> dialects{session::Dialect::culvert_1, session::Dialect::mf_4};
  quic::TransportConfig transport{};
  std::optional<quic::ProtectionBackend> protection{};  // empty: the fastest this machine has
  session::AuthLimits auth_limits{};
  std::string audit_log{};      // a file of JSON lines (audit_log.h); empty: none
  bool audit_required = false;  // no flows while it cannot be written
  peer::ServerTimes times{};
  unsigned workers = 0;         // 0: default_worker_count()
  bool handles_signals = true;  // SIGINT, SIGTERM: polite stop, the second one immediate
  // SIGHUP: read the settings again. On the loop's thread; an error changes nothing.
  std::function<Result<ServerReload>()> reload{};
  std::vector<std::string> watched_files{};  // a change of one is a SIGHUP; empty: none
  net::UdpFeatures udp{};
  net::InterfaceRules interfaces{};  // which addresses are told and used
  DebugOptions debug{};
  admin::ControlOptions control{};
  std::string version{};  // of the program, for who asks
};

struct ClientOptions {
  crypto::SecretKey identity;
  std::vector<ClientServer> servers{};    // one without a name, or several with names
  tunnel::TunnelSet tunnels{};            // of all of them
  std::optional<tunnel::Source> stdio{};  // -W: stdin and stdout carry one flow, then end
  quic::TransportConfig transport{};
  std::optional<quic::ProtectionBackend> protection{};
  peer::ClientPolicy policy{};
  bool handles_signals = true;
  // SIGHUP: read the settings again. On the loop's thread; an error changes nothing. Empty:
  // SIGHUP ends the client, as ssh expects of its ProxyCommand.
  std::function<Result<ClientReload>()> reload{};
  std::vector<std::string> watched_files{};  // a change of one is a SIGHUP; empty: none
  net::UdpFeatures udp{};
  net::InterfaceRules interfaces{};  // which addresses are told and used
  DebugOptions debug{};
  admin::ControlOptions control{};
  std::string version{};  // of the program, for who asks
};

// One worker a core, at most 8.
[[nodiscard]] unsigned default_worker_count();

}  // namespace culvert::app
