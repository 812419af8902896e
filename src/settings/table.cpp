#include "settings/table.h"

#include "base/assert.h"
#include "base/limits.h"
#include "settings/suggest.h"
#include "settings/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace culvert::settings {
namespace {

constexpr CommandSet kServer = bit(Command::server);
constexpr CommandSet kClient = bit(Command::client);
constexpr CommandSet kTicket = bit(Command::ticket);
constexpr CommandSet kKeyGenerate = bit(Command::key_generate);
constexpr CommandSet kKeyShow = bit(Command::key_show);
constexpr CommandSet kTokenGenerate = bit(Command::token_generate);
constexpr ModeSet kIroh = bit(Mode::iroh);
constexpr std::int64_t kHourMs = 3'600'000;

constexpr std::array kCommands{
    CommandInfo{Command::server, "server", "", "[iroh]",
                "Let authenticated clients reach services of this machine and its network"},
    CommandInfo{Command::client, "client", "", "[iroh]",
                "Bring services that a server reaches to ports of this machine"},
    CommandInfo{Command::key_generate, "key generate", "generate-server-key", "",
                "Make a key file: a server's identity, or with --auth a client's login key"},
    CommandInfo{Command::key_show, "key show", "show-server-id", "",
                "Print the public half of a key file"},
    CommandInfo{Command::token_generate, "token", "generate-auth-token", "",
                "Make shared authentication tokens"},
    CommandInfo{Command::ticket, "ticket", "", "[TICKET]",
                "Make a ticket from an EndpointId and addresses, or show what one holds"},
    CommandInfo{Command::status, "status", "", "",
                "Show what running servers and clients do, and how they are"},
    CommandInfo{Command::tunnels_list, "tunnels list", "", "",
                "List the tunnels of a running client"},
    CommandInfo{Command::tunnels_add, "tunnels add", "", "SOURCE TARGET",
                "Add a tunnel to a running client; as --source and --target"},
    CommandInfo{Command::tunnels_remove, "tunnels remove", "", "TUNNEL",
                "Remove a tunnel of a running client, and its connections"},
    CommandInfo{Command::tunnels_enable, "tunnels enable", "", "TUNNEL",
                "Let a tunnel of a running client listen again"},
    CommandInfo{Command::tunnels_disable, "tunnels disable", "", "TUNNEL",
                "Close a tunnel of a running client, but keep it"},
    CommandInfo{Command::tunnels_set, "tunnels set", "", "TUNNEL KEY=VALUE...",
                "Change a tunnel of a running client; keys as in [[iroh.tunnels]]"},
    CommandInfo{Command::completion, "completion", "", "bash|zsh|fish",
                "Print a completion script for a shell"},
};

constexpr std::array kTunnelKeys{
    TunnelKey{"source", Type::text, {}, "what the server connects to, as --source"},
    TunnelKey{"target", Type::text, {}, "where this machine listens, as --target"},
    TunnelKey{"name", Type::text, {}, "a name for logs; unique"},
    TunnelKey{"enabled", Type::flag, {}, "false: it does not listen until it is enabled"},
    TunnelKey{"udp_idle_timeout", Type::duration, Id::udp_idle_timeout,
              "as --udp-idle-timeout, for this tunnel"},
    TunnelKey{"multipath", Type::choice, Id::multipath, "as --multipath, for this tunnel"},
};

std::vector<Setting> make_table() {
  std::vector<Setting> t;
  const auto add = [&t](Setting setting) { t.push_back(std::move(setting)); };

  std::string_view group = "Configuration";
  add({.id = Id::config,
       .commands = kRoles,
       .flag = "config",
       .letter = 'c',
       .placeholder = "FILE",
       .environment = "CULVERT_CONFIG",
       .group = group,
       .help = "read settings from a TOML file; file names in it are relative to it"});
  add({.id = Id::default_config,
       .commands = kRoles,
       .flag = "default-config",
       .type = Type::flag,
       .group = group,
       .help = "read ~/.config/culvert/server.toml or client.toml"});
  add({.id = Id::config_stdin,
       .commands = kRoles,
       .flag = "config-stdin",
       .type = Type::flag,
       .group = group,
       .help = "read one JSON object of the same shape from standard input; may hold secrets"});
  add({.id = Id::watch_config,
       .commands = kRoles,
       .flag = "watch-config",
       .type = Type::flag,
       .environment = "CULVERT_WATCH_CONFIG",
       .key = "watch_config",
       .group = group,
       .help = "read the configuration again, as on SIGHUP, when its file or a file of tokens or "
               "keys changes"});

  group = "Identity and authentication";
  add({.id = Id::secret,
       .commands = kRoles | kKeyShow,
       .flag = "secret",
       .placeholder = "KEY",
       .environment = "CULVERT_SECRET",
       .environment_alias = "TUNNEL_RS_SECRET",
       .key = "secret",
       .modes = kEveryMode,
       .is_secret = true,
       .group = group,
       .help = "secret key of this endpoint's identity, or the whole key file"});
  add({.id = Id::secret_file,
       .commands = kRoles,
       .flag = "secret-file",
       .placeholder = "FILE",
       .environment = "CULVERT_SECRET_FILE",
       .key = "secret_file",
       .modes = kEveryMode,
       .is_path = true,
       .group = group,
       .help = "key file of this endpoint's identity (culvert key generate); a server without one "
               "has a new EndpointId at every start"});
  add({.id = Id::secret_file,
       .commands = kKeyShow,
       .flag = "secret-file",
       .letter = 's',
       .flag_alias = "private-key-file",
       .placeholder = "FILE",
       .group = group,
       .help = "the key file, '-' for standard input"});
  add({.id = Id::auth_tokens,
       .commands = kServer,
       .flag = "auth-tokens",
       .placeholder = "TOKEN",
       .environment = "CULVERT_AUTH_TOKENS",
       .environment_alias = "TUNNEL_RS_AUTH_TOKENS",
       .key = "auth_tokens",
       .modes = kEveryMode,
       .is_repeatable = true,
       .list_separator = ',',
       .is_secret = true,
       .live = kServer,
       .group = group,
       .help = "tokens that let clients in"});
  add({.id = Id::auth_tokens_file,
       .commands = kServer,
       .flag = "auth-tokens-file",
       .placeholder = "FILE",
       .environment = "CULVERT_AUTH_TOKENS_FILE",
       .key = "auth_tokens_file",
       .modes = kEveryMode,
       .is_path = true,
       .live = kServer,
       .group = group,
       .help = "file of tokens that let clients in, one a line, '#' comments"});
  add({.id = Id::authorized_keys_file,
       .commands = kServer,
       .flag = "authorized-keys-file",
       .placeholder = "FILE",
       .environment = "CULVERT_AUTHORIZED_KEYS_FILE",
       .environment_alias = "TUNNEL_RS_AUTHORIZED_KEYS_FILE",
       .key = "authorized_keys_file",
       .modes = kEveryMode,
       .is_path = true,
       .live = kServer,
       .group = group,
       .help =
           "file of Ed25519 public keys that let clients in: ed25519-pub:..., ssh-ed25519 lines "
           "or hex"});
  add({.id = Id::allowed_endpoint_ids,
       .commands = kServer,
       .flag = "allowed-endpoint-id",
       .placeholder = "ID",
       .environment = "CULVERT_ALLOWED_ENDPOINT_IDS",
       .key = "allowed_endpoint_ids",
       .modes = kEveryMode,
       .is_repeatable = true,
       .live = kServer,
       .group = group,
       .help = "EndpointId of a client that is let in"});
  add({.id = Id::insecure_allow_anyone,
       .commands = kServer,
       .flag = "insecure-allow-anyone",
       .type = Type::flag,
       .live = kServer,
       .group = group,
       .help = "let every client in that knows the EndpointId"});
  add({.id = Id::keep_revoked,
       .commands = kServer,
       .flag = "keep-revoked",
       .type = Type::flag,
       .environment = "CULVERT_KEEP_REVOKED",
       .key = "keep_revoked",
       .modes = kEveryMode,
       .live = kServer,
       .group = group,
       .help = "a reload that takes away a credential or a source ends no running session or "
               "flow"});
  add({.id = Id::auth_token,
       .commands = kClient,
       .flag = "auth-token",
       .placeholder = "TOKEN",
       .environment = "CULVERT_AUTH_TOKEN",
       .environment_alias = "TUNNEL_RS_AUTH_TOKEN",
       .key = "auth_token",
       .modes = kEveryMode,
       .is_secret = true,
       .is_per_server = true,
       .live = kClient,
       .group = group,
       .help = "token that the server knows"});
  add({.id = Id::auth_token_file,
       .commands = kClient,
       .flag = "auth-token-file",
       .placeholder = "FILE",
       .environment = "CULVERT_AUTH_TOKEN_FILE",
       .key = "auth_token_file",
       .modes = kEveryMode,
       .is_path = true,
       .is_per_server = true,
       .live = kClient,
       .group = group,
       .help = "file that holds the token"});
  add({.id = Id::private_key_file,
       .commands = kClient,
       .flag = "private-key-file",
       .placeholder = "FILE",
       .environment = "CULVERT_PRIVATE_KEY_FILE",
       .environment_alias = "TUNNEL_RS_PRIVATE_KEY_FILE",
       .key = "private_key_file",
       .modes = kEveryMode,
       .is_path = true,
       .is_per_server = true,
       .live = kClient,
       .group = group,
       .help = "Ed25519 login key: culvert key generate --auth, or an unencrypted OpenSSH key"});

  group = "What clients may reach";
  add({.id = Id::allowed_tcp,
       .commands = kServer,
       .flag = "allowed-tcp",
       .placeholder = "CIDR[:PORTS]",
       .environment = "CULVERT_ALLOWED_TCP",
       .key = "allowed_sources.tcp",
       .modes = kEveryMode,
       .is_repeatable = true,
       .live = kServer,
       .group = group,
       .help = "network clients may reach over TCP, e.g. 10.0.0.0/8:5432,8000-8999; none: no TCP"});
  add({.id = Id::allowed_udp,
       .commands = kServer,
       .flag = "allowed-udp",
       .placeholder = "CIDR[:PORTS]",
       .environment = "CULVERT_ALLOWED_UDP",
       .key = "allowed_sources.udp",
       .modes = kEveryMode,
       .is_repeatable = true,
       .live = kServer,
       .group = group,
       .help = "network clients may reach over UDP; none: no UDP"});
  add({.id = Id::allowed_unix,
       .commands = kServer,
       .flag = "allowed-unix",
       .placeholder = "unix:PATH",
       .environment = "CULVERT_ALLOWED_UNIX",
       .key = "allowed_sources.unix",
       .modes = kEveryMode,
       .is_repeatable = true,
       .live = kServer,
       .group = group,
       .help = "Unix socket clients may reach; a trailing /* allows a directory"});

  group = "Server and address";
  add({.id = Id::listen,
       .commands = kServer,
       .flag = "listen",
       .placeholder = "ADDRESS:PORT",
       .fallback = "[::]:0",
       .environment = "CULVERT_LISTEN",
       .key = "listen",
       .modes = kEveryMode,
       .group = group,
       .help = "UDP address to listen on; [::] or * takes IPv4 too, port 0 any free port"});
  add({.id = Id::external_addresses,
       .commands = kServer,
       .flag = "external-address",
       .placeholder = "ADDRESS:PORT",
       .environment = "CULVERT_EXTERNAL_ADDRESSES",
       .key = "external_addresses",
       .modes = kEveryMode,
       .is_repeatable = true,
       .group = group,
       .help = "address that reaches this server from outside (port forwarding), for the ticket"});
  add({.id = Id::exclude_interfaces,
       .commands = kRoles,
       .flag = "exclude-interface",
       .placeholder = "NAME",
       .environment = "CULVERT_EXCLUDE_INTERFACES",
       .key = "exclude_interfaces",
       .modes = kEveryMode,
       .is_repeatable = true,
       .group = group,
       .help =
           "network interface whose addresses are neither told to clients nor used for paths; * "
           "at the end stands for anything. VPNs and bridges of containers are left out anyhow "
           "where there are others, unless this is none"});
  add({.id = Id::dialects,
       .commands = kServer,
       .flag = "dialects",
       .type = Type::choices,
       .placeholder = "culvert|mf4",
       .fallback = "culvert,mf4",
       .environment = "CULVERT_DIALECTS",
       .key = "dialects",
       .modes = kIroh,
       .group = group,
       .help = "protocols to speak, with commas: culvert/1, and mf/4 with tunnel-rs clients, whose "
               "tokens and key proofs whoever they dial could pass on; culvert alone where there "
               "are none"});
  add({.id = Id::server_node_id,
       .commands = kClient | kTicket,
       .flag = "server-node-id",
       .letter = 'n',
       .flag_alias = "endpoint-id",
       .placeholder = "ID",
       .environment = "CULVERT_SERVER_NODE_ID",
       .key = "server_node_id",
       .key_alias = "endpoint_id",
       .modes = kEveryMode,
       .is_per_server = true,
       .live = kClient,
       .group = group,
       .help = "the server's EndpointId; a ticket is taken too"});
  add({.id = Id::addresses,
       .commands = kClient | kTicket,
       .flag = "address",
       .letter = 'a',
       .placeholder = "HOST:PORT",
       .environment = "CULVERT_ADDRESSES",
       .key = "addresses",
       .modes = kEveryMode,
       .is_repeatable = true,
       .is_per_server = true,
       .live = kClient,
       .group = group,
       .help =
           "where the server listens; all are tried, the first to answer carries the session; a "
           "name is looked up anew for each try"});
  add({.id = Id::ticket,
       .commands = kClient,
       .flag = "ticket",
       .placeholder = "TICKET",
       .environment = "CULVERT_TICKET",
       .key = "ticket",
       .modes = kEveryMode,
       .is_per_server = true,
       .live = kClient,
       .group = group,
       .help = "EndpointId and addresses in one word, as the server prints it"});
  add({.id = Id::dialect,
       .commands = kClient,
       .flag = "dialect",
       .type = Type::choice,
       .placeholder = "culvert|mf4",
       .fallback = "culvert",
       .environment = "CULVERT_DIALECT",
       .key = "dialect",
       .modes = kIroh,
       .is_per_server = true,
       .live = kClient,
       .group = group,
       .help = "protocol to speak: culvert/1, or mf/4 to a tunnel-rs server"});

  group = "Tunnels";
  add({.id = Id::source,
       .commands = kClient,
       .flag = "source",
       .letter = 's',
       .placeholder = "URL",
       .environment = "CULVERT_SOURCE",
       .key = "request_source",
       .key_alias = "source",
       .modes = kEveryMode,
       .is_repeatable = true,
       .live = kClient,
       .group = group,
       .help = "what the server shall connect to: tcp://host:port, udp://host:port, unix:///path; "
               "a range of ports (tcp://host:8000-8009) is one tunnel; one --target each"});
  add({.id = Id::target,
       .commands = kClient,
       .flag = "target",
       .letter = 't',
       .placeholder = "ADDRESS:PORT",
       .environment = "CULVERT_TARGET",
       .key = "target",
       .modes = kEveryMode,
       .is_repeatable = true,
       .live = kClient,
       .group = group,
       .help = "where to listen here for the --source at the same place: address:port, "
               "localhost:port or a port alone (every loopback address), *:port or [::]:port "
               "(every address, IPv6 and IPv4), unix:/path; a range for a range"});
  add({.id = Id::stdio,
       .commands = kClient,
       .flag = "stdio",
       .letter = 'W',
       .placeholder = "HOST:PORT",
       .group = group,
       .help = "connect standard input and output to this TCP destination (ssh ProxyCommand); logs "
               "only warnings unless -v is given"});
  add({.id = Id::socks5,
       .commands = kClient,
       .flag = "socks5",
       .placeholder = "ADDRESS:PORT",
       .environment = "CULVERT_SOCKS5",
       .key = "socks5",
       .modes = kEveryMode,
       .is_per_server = true,
       .live = kClient,
       .group = group,
       .help = "SOCKS5 proxy to whatever the server allows, TCP and UDP; SOCKS4, SOCKS4a and HTTP "
               "CONNECT are spoken there, too; localhost:port, *:port and a port alone as for "
               "--target"});

  group = "Limits and times";
  add({.id = Id::max_sessions,
       .commands = kServer,
       .flag = "max-sessions",
       .type = Type::number,
       .placeholder = "N",
       .fallback = std::to_string(limits::kDefaultMaxSessions),
       .environment = "CULVERT_MAX_SESSIONS",
       .key = "max_sessions",
       .modes = kEveryMode,
       .minimum = 1,
       .maximum = 1'000'000,
       .live = kServer,
       .group = group,
       .help = "clients at a time; when all are there, who was lost for longest gives way"});
  add({.id = Id::max_sessions_per_credential,
       .commands = kServer,
       .flag = "max-sessions-per-credential",
       .type = Type::number,
       .placeholder = "N",
       .fallback = "0",
       .environment = "CULVERT_MAX_SESSIONS_PER_CREDENTIAL",
       .key = "max_sessions_per_credential",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = 1'000'000,
       .live = kServer,
       .group = group,
       .help = "clients at a time with one token, key or EndpointId; 0: three quarters of "
               "--max-sessions where there are several of them"});
  add({.id = Id::max_flows,
       .commands = kServer,
       .flag = "max-flows",
       .type = Type::number,
       .placeholder = "N",
       .fallback = std::to_string(limits::kDefaultMaxFlowsPerSession),
       .environment = "CULVERT_MAX_FLOWS",
       .key = "max_flows",
       .modes = kEveryMode,
       .minimum = 1,
       .maximum = 1'000'000,
       .live = kServer,
       .group = group,
       .help = "connections and UDP flows at a time, of one client"});
  add({.id = Id::udp_idle_timeout,
       .commands = kRoles,
       .flag = "udp-idle-timeout",
       .type = Type::duration,
       .placeholder = "TIME",
       .fallback = duration_text(limits::kUdpFlowIdle),
       .environment = "CULVERT_UDP_IDLE_TIMEOUT",
       .key = "udp_idle_timeout",
       .modes = kEveryMode,
       .minimum = 1'000,
       .maximum = 24 * kHourMs,
       .live = kServer,
       .group = group,
       .help = "a UDP flow without packets ends after this"});
  add({.id = Id::connect_timeout,
       .commands = kClient,
       .flag = "connect-timeout",
       .type = Type::duration,
       .placeholder = "TIME",
       .fallback = duration_text(limits::kDialTimeout),
       .environment = "CULVERT_CONNECT_TIMEOUT",
       .key = "connect_timeout",
       .modes = kEveryMode,
       .minimum = 100,
       .maximum = kHourMs,
       .group = group,
       .help = "give up connecting to the server after this"});
  add({.id = Id::drain_timeout,
       .commands = kRoles,
       .flag = "drain-timeout",
       .type = Type::duration,
       .placeholder = "TIME",
       .fallback = duration_text(limits::kDrainTimeout),
       .environment = "CULVERT_DRAIN_TIMEOUT",
       .key = "drain_timeout",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = kHourMs,
       .group = group,
       .help = "time that running flows get to end at shutdown"});
  add({.id = Id::resume_grace,
       .commands = kRoles,
       .flag = "resume-grace",
       .type = Type::duration,
       .placeholder = "TIME",
       .fallback = duration_text(limits::kResumeGrace),
       .environment = "CULVERT_RESUME_GRACE",
       .key = "resume_grace",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = 24 * kHourMs,
       .group = group,
       .help = "flows wait this long for a lost connection to come back; 0: they end with it"});
  add({.id = Id::multipath,
       .commands = kClient,
       .flag = "multipath",
       .type = Type::choice,
       .placeholder = "fastest|aggregate|redundant",
       .fallback = "fastest",
       .environment = "CULVERT_MULTIPATH",
       .key = "multipath",
       .modes = kEveryMode,
       .group = group,
       .help = "where several paths lead to the server: use the fastest, all at once, or two for "
               "everything"});
  add({.id = Id::max_reconnect_attempts,
       .commands = kClient,
       .flag = "max-reconnect-attempts",
       .type = Type::number,
       .placeholder = "N",
       .environment = "CULVERT_MAX_RECONNECT_ATTEMPTS",
       .key = "max_reconnect_attempts",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = 1'000'000,
       .group = group,
       .help = "end when the server was lost and as many tries in a row did not reach it; 0: end "
               "at once; without it: try for ever"});

  group = "Limits on failed authentication";
  add({.id = Id::max_token_auth_failures,
       .commands = kServer,
       .flag = "max-token-auth-failures",
       .type = Type::number,
       .placeholder = "N",
       .fallback = std::to_string(limits::kMaxTokenAuthFailures),
       .environment = "CULVERT_MAX_TOKEN_AUTH_FAILURES",
       .key = "max_token_auth_failures",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = 1'000'000,
       .live = kServer,
       .group = group,
       .help = "failures of one token or key before it is locked out; 0: no such limit. Valid ones "
               "always pass"});
  add({.id = Id::max_address_auth_failures,
       .commands = kServer,
       .flag = "max-address-auth-failures",
       .type = Type::number,
       .placeholder = "N",
       .fallback = std::to_string(limits::kMaxAddressAuthFailures),
       .environment = "CULVERT_MAX_ADDRESS_AUTH_FAILURES",
       .key = "max_address_auth_failures",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = 1'000'000,
       .live = kServer,
       .group = group,
       .help = "failures from one IPv4 address or IPv6 /64 (four times that from a /48) before it "
               "is locked out; 0: no such limit"});
  add({.id = Id::token_lockout_duration,
       .commands = kServer,
       .flag = "token-lockout-duration",
       .type = Type::duration,
       .placeholder = "TIME",
       .fallback = duration_text(limits::kTokenLockout),
       .environment = "CULVERT_TOKEN_LOCKOUT_DURATION",
       .key = "token_lockout_duration",
       .modes = kEveryMode,
       .minimum = 1'000,
       .maximum = 24 * kHourMs,
       .live = kServer,
       .group = group,
       .help = "how long a token, key or address is locked out"});
  add({.id = Id::global_auth_failure_threshold,
       .commands = kServer,
       .flag = "global-auth-failure-threshold",
       .type = Type::number,
       .placeholder = "N",
       .fallback = std::to_string(limits::kGlobalAuthFailures),
       .environment = "CULVERT_GLOBAL_AUTH_FAILURE_THRESHOLD",
       .key = "global_auth_failure_threshold",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = limits::kGlobalAuthFailuresMax,
       .live = kServer,
       .group = group,
       .help = "different tokens and keys failing within the window before all failures are locked "
               "out; 0: no such limit"});
  add({.id = Id::global_auth_failure_window,
       .commands = kServer,
       .flag = "global-auth-failure-window",
       .type = Type::duration,
       .placeholder = "TIME",
       .fallback = duration_text(limits::kGlobalAuthFailureWindow),
       .environment = "CULVERT_GLOBAL_AUTH_FAILURE_WINDOW",
       .key = "global_auth_failure_window",
       .modes = kEveryMode,
       .minimum = 1'000,
       .maximum = 24 * kHourMs,
       .live = kServer,
       .group = group,
       .help = "the window of that count"});
  add({.id = Id::global_lockout_duration,
       .commands = kServer,
       .flag = "global-lockout-duration",
       .type = Type::duration,
       .placeholder = "TIME",
       .fallback = duration_text(limits::kGlobalAuthLockout),
       .environment = "CULVERT_GLOBAL_LOCKOUT_DURATION",
       .key = "global_lockout_duration",
       .modes = kEveryMode,
       .minimum = 1'000,
       .maximum = 24 * kHourMs,
       .live = kServer,
       .group = group,
       .help = "how long all failures are locked out"});
  add({.id = Id::lockout_log_sample_interval,
       .commands = kServer,
       .flag = "lockout-log-sample-interval",
       .type = Type::number,
       .placeholder = "N",
       .fallback = std::to_string(limits::kLockoutLogSample),
       .environment = "CULVERT_LOCKOUT_LOG_SAMPLE_INTERVAL",
       .key = "lockout_log_sample_interval",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = 1'000'000,
       .group = group,
       .help =
           "log the first and every Nth of repeated warnings about clients; 0: only the first"});

  group = "Transport";
  add({.id = Id::workers,
       .commands = kServer,
       .flag = "workers",
       .type = Type::number,
       .placeholder = "N",
       .fallback = "0",
       .environment = "CULVERT_WORKERS",
       .key = "workers",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = 64,
       .group = group,
       .help = "threads that carry traffic; 0: one a core, at most 8"});
  add({.id = Id::congestion_controller,
       .commands = kRoles,
       .flag = "congestion-controller",
       .type = Type::choice,
       .placeholder = "bbr|cubic",
       .fallback = "bbr",
       .environment = "CULVERT_CONGESTION_CONTROLLER",
       .key = "transport.congestion_controller",
       .modes = kEveryMode,
       .group = group,
       .help = "how sending adapts to the path"});
  add({.id = Id::session_buffer,
       .commands = kRoles,
       .flag = "session-buffer",
       .type = Type::size,
       .placeholder = "MIB",
       .fallback = std::to_string(limits::kSessionBufferBytes >> 20),
       .environment = "CULVERT_SESSION_BUFFER",
       .key = "transport.session_buffer",
       .modes = kEveryMode,
       .minimum = limits::kLeastBufferBytes >> 20,
       .maximum = 65'536,
       .group = group,
       .help = "most that may wait for readers in the flows of one session"});
  add({.id = Id::total_buffer,
       .commands = kRoles,
       .flag = "total-buffer",
       .type = Type::size,
       .placeholder = "MIB",
       .fallback = std::to_string(limits::kProcessBufferBytes >> 20),
       .environment = "CULVERT_TOTAL_BUFFER",
       .key = "transport.total_buffer",
       .modes = kEveryMode,
       .minimum = limits::kLeastBufferBytes >> 20,
       .maximum = 1'048'576,
       .group = group,
       .help = "the same for all sessions of the process together"});
  add({.id = Id::mtu,
       .commands = kRoles,
       .flag = "mtu",
       .type = Type::number,
       .placeholder = "BYTES",
       .fallback = "0",
       .environment = "CULVERT_MTU",
       .key = "transport.mtu",
       .modes = kEveryMode,
       .minimum = limits::kLeastUdpPayload,
       .maximum = limits::kUdpPayloadOwnPeers,
       .zero = "discovery",
       .group = group,
       .help = "UDP payload of every full packet, 1200 at least, without discovery; 0: discover"});
  add({.id = Id::keep_alive,
       .commands = kRoles,
       .flag = "keep-alive",
       .type = Type::duration,
       .placeholder = "TIME",
       .fallback = duration_text(limits::kKeepAlive),
       .environment = "CULVERT_KEEP_ALIVE",
       .key = "transport.keep_alive",
       .modes = kEveryMode,
       .minimum = 0,
       .maximum = kHourMs,
       .group = group,
       .help = "send something after this long a silence; 0: never"});
  add({.id = Id::idle_timeout,
       .commands = kRoles,
       .flag = "idle-timeout",
       .type = Type::duration,
       .placeholder = "TIME",
       .fallback = duration_text(limits::kIdleTimeout),
       .environment = "CULVERT_IDLE_TIMEOUT",
       .key = "transport.idle_timeout",
       .modes = kEveryMode,
       .minimum = 1'000,
       .maximum = 24 * kHourMs,
       .group = group,
       .help = "the other side is gone when silent for this long"});
  add({.id = Id::packet_protection,
       .commands = kRoles,
       .flag = "packet-protection",
       .type = Type::choice,
       .placeholder = "auto|gnutls|ipsec-mb",
       .fallback = "auto",
       .environment = "CULVERT_PACKET_PROTECTION",
       .key = "transport.packet_protection",
       .modes = kEveryMode,
       .group = group,
       .help = "library that encrypts packets; auto: the fastest here"});

  group = "Control";
  add({.id = Id::control_socket,
       .commands = kRoles | bit(Command::status) | kTunnels,
       .flag = "control-socket",
       .placeholder = "PATH",
       .environment = "CULVERT_CONTROL_SOCKET",
       .key = "control.socket",
       .is_path = true,
       .group = group,
       .help =
           "Unix socket of the control API; without it ROLE-PID.sock in $XDG_RUNTIME_DIR/culvert, "
           "/run/culvert (root) or /tmp/culvert-UID"});
  add({.id = Id::no_control,
       .commands = kRoles,
       .flag = "no-control",
       .type = Type::flag,
       .environment = "CULVERT_NO_CONTROL",
       .key = "control.off",
       .group = group,
       .help = "no control socket: culvert status does not see this process"});
  add({.id = Id::metrics_listen,
       .commands = kRoles,
       .flag = "metrics-listen",
       .placeholder = "ADDRESS:PORT",
       .environment = "CULVERT_METRICS_LISTEN",
       .key = "control.metrics_listen",
       .group = group,
       .help = "serve /metrics (Prometheus) and /healthz at this TCP address; localhost:port, "
               "*:port and a port alone as for --target"});
  add({.id = Id::metrics_hosts,
       .commands = kRoles,
       .flag = "metrics-host",
       .placeholder = "NAME",
       .environment = "CULVERT_METRICS_HOSTS",
       .key = "control.metrics_hosts",
       .is_repeatable = true,
       .group = group,
       .help = "a name by which --metrics-listen is asked, beside addresses, localhost and this "
               "machine's own; others are refused, because a web page could be behind them"});
  add({.id = Id::instance,
       .commands = bit(Command::status) | kTunnels,
       .flag = "instance",
       .letter = 'i',
       .placeholder = "NAME|PID",
       .group = group,
       .help = "which of several: as culvert status names them, or the process id"});
  add({.id = Id::watch,
       .commands = bit(Command::status),
       .flag = "watch",
       .letter = 'w',
       .type = Type::flag,
       .group = group,
       .help = "draw it again every second, with rates; arrows and Page Up/Down scroll, q ends"});
  add({.id = Id::tunnel_name,
       .commands = bit(Command::tunnels_add),
       .flag = "name",
       .placeholder = "NAME",
       .group = group,
       .help = "a name for the tunnel; unique"});
  add({.id = Id::server_name,
       .commands = bit(Command::tunnels_add),
       .flag = "server",
       .placeholder = "NAME",
       .group = group,
       .help = "through which of several [[servers]]"});

  group = "Output";
  add({.id = Id::json,
       .commands = kRoles | kKeyGenerate | kKeyShow | kTokenGenerate | kTicket |
                   bit(Command::status) | bit(Command::tunnels_list),
       .flag = "json",
       .type = Type::flag,
       .group = group,
       .help = "results on standard output as JSON, one object a line"});
  add({.id = Id::log_format,
       .commands = kRoles,
       .flag = "log-format",
       .type = Type::choice,
       .placeholder = "human|json",
       .fallback = "human",
       .environment = "CULVERT_LOG_FORMAT",
       .key = "log.format",
       .group = group,
       .help = "form of the log lines on standard error"});
  add({.id = Id::verbose,
       .commands = kRoles,
       .flag = "verbose",
       .letter = 'v',
       .type = Type::counter,
       .group = group,
       .help = "log more; twice: everything"});
  add({.id = Id::quiet,
       .commands = kRoles,
       .flag = "quiet",
       .letter = 'q',
       .type = Type::counter,
       .group = group,
       .help = "log warnings and errors only; twice: errors only"});
  add({.id = Id::audit_log,
       .commands = kServer,
       .flag = "audit-log",
       .placeholder = "FILE",
       .environment = "CULVERT_AUDIT_LOG",
       .key = "audit_log",
       .modes = kEveryMode,
       .is_path = true,
       .group = group,
       .help = "append a JSON line for every decision about clients and what they reach; SIGHUP "
               "opens the file anew"});
  add({.id = Id::audit_required,
       .commands = kServer,
       .flag = "audit-required",
       .type = Type::flag,
       .environment = "CULVERT_AUDIT_REQUIRED",
       .key = "audit_required",
       .modes = kEveryMode,
       .group = group,
       .help = "refuse flows while the audit log cannot be written; without it they go on, and "
               "lines wait or, when there are too many, are lost and counted"});
  add({.id = Id::qlog_directory,
       .commands = kRoles,
       .flag = "qlog-dir",
       .placeholder = "DIRECTORY",
       .group = group,
       .help = "write a qlog file for each connection"});
  add({.id = Id::key_log_file,
       .commands = kRoles,
       .flag = "key-log",
       .placeholder = "FILE",
       .group = group,
       .help = "write TLS secrets in SSLKEYLOGFILE form: breaks secrecy, for debugging"});

  group = "Options";
  add({.id = Id::output,
       .commands = kKeyGenerate,
       .flag = "output",
       .letter = 'o',
       .placeholder = "FILE",
       .group = group,
       .help = "where to write the key, mode 0600; '-' for standard output"});
  add({.id = Id::force,
       .commands = kKeyGenerate,
       .flag = "force",
       .type = Type::flag,
       .group = group,
       .help = "replace the file if there is one"});
  add({.id = Id::auth_key,
       .commands = kKeyGenerate,
       .flag = "auth",
       .type = Type::flag,
       .group = group,
       .help = "a login key for --private-key-file instead of an identity"});
  add({.id = Id::comment,
       .commands = kKeyGenerate,
       .flag = "comment",
       .placeholder = "TEXT",
       .group = group,
       .help = "comment in a login key"});
  add({.id = Id::count,
       .commands = kTokenGenerate,
       .flag = "count",
       .letter = 'c',
       .type = Type::number,
       .placeholder = "N",
       .fallback = "1",
       .minimum = 1,
       .maximum = 10'000,
       .group = group,
       .help = "how many"});
  return t;
}

}  // namespace

std::span<const CommandInfo> commands() {
  return kCommands;
}

const CommandInfo& info(Command command) {
  const auto it = std::ranges::find(kCommands, command, &CommandInfo::command);
  CULVERT_ASSERT(it != kCommands.end());
  return *it;
}

const std::vector<Setting>& table() {
  static const std::vector<Setting> settings = make_table();
  return settings;
}

const Setting& setting(Id id) {
  const auto it = std::ranges::find(table(), id, &Setting::id);
  CULVERT_ASSERT(it != table().end());
  return *it;
}

std::string in_section(Mode mode, std::string_view key) {
  return fmt::format("{}.{}", word_of(mode), key);
}

std::string key_of(const Setting& setting, Mode mode) {
  return setting.modes == 0 ? std::string(setting.key) : in_section(mode, setting.key);
}

Result<Mode> parse_mode(std::string_view name, std::string_view origin, ModeSet available) {
  const auto mode = value_of<Mode>(name);
  std::vector<std::string_view> names;
  for (const std::string_view word : kWords<Mode>) {
    if ((available & bit(*value_of<Mode>(word))) != 0) names.push_back(word);
  }
  if (mode && (available & bit(*mode)) != 0) return *mode;
  return fail(ErrorKind::configuration,
              mode ? fmt::format("mode {} is not available yet: this version finds peers in mode "
                                 "{} only",
                                 name, fmt::join(names, ", "))
                   : fmt::format("'{}' is no mode: {}{}", name, fmt::join(names, ", "),
                                 did_you_mean(name, names)),
              std::string(origin));
}

std::string_view server_key(const Setting& setting) {
  return setting.key.substr(setting.key.rfind('.') + 1);
}

std::span<const TunnelKey> tunnel_keys() {
  return kTunnelKeys;
}

}  // namespace culvert::settings
