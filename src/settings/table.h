// THE table of settings: every flag, environment variable and configuration key, once.
// Parsing, help, shell completion and docs/settings.md are all made from it. What a value
// means (a CIDR, a source) is checked where it is used, by cli/.
#pragma once

#include "base/result.h"
#include "base/words.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::settings {

enum class Command : std::uint8_t {
  server,
  client,
  key_generate,
  key_show,
  token_generate,
  ticket,
  status,
  tunnels_list,
  tunnels_add,
  tunnels_remove,
  tunnels_enable,
  tunnels_disable,
  tunnels_set,
  completion,
};

// A set of commands as bits.
using CommandSet = std::uint32_t;
[[nodiscard]] constexpr CommandSet bit(Command command) {
  return CommandSet{1} << static_cast<unsigned>(command);
}
inline constexpr CommandSet kRoles = bit(Command::server) | bit(Command::client);
inline constexpr CommandSet kTunnels = bit(Command::tunnels_list) | bit(Command::tunnels_add) |
                                       bit(Command::tunnels_remove) | bit(Command::tunnels_enable) |
                                       bit(Command::tunnels_disable) | bit(Command::tunnels_set);

// How a role finds its peers. Each mode has a section of its name in a configuration file, in which
// the keys stand that all share, and those of its own.
enum class Mode : std::uint8_t { iroh, nostr, manual };
using ModeSet = std::uint8_t;
[[nodiscard]] constexpr ModeSet bit(Mode mode) {
  return static_cast<ModeSet>(1U << static_cast<unsigned>(mode));
}
inline constexpr ModeSet kEveryMode = bit(Mode::iroh) | bit(Mode::nostr) | bit(Mode::manual);
inline constexpr ModeSet kAvailableModes = bit(Mode::iroh);  // those that this version has
}  // namespace culvert::settings

namespace culvert {

template <>
inline constexpr std::array<std::string_view, 3> kWords<settings::Mode>{"iroh", "nostr", "manual"};

}  // namespace culvert

namespace culvert::settings {

// The mode of that name, if this version has it; errors name `origin`.
[[nodiscard]] Result<Mode> parse_mode(std::string_view name, std::string_view origin,
                                      ModeSet available = kAvailableModes);

struct CommandInfo {
  Command command;
  std::string_view name;     // as typed, "key generate"
  std::string_view alias;    // tunnel-rs's spelling, or empty
  std::string_view operand;  // placeholder of what may follow without a flag, or empty
  std::string_view summary;
};
[[nodiscard]] std::span<const CommandInfo> commands();
[[nodiscard]] const CommandInfo& info(Command command);

enum class Id : std::uint8_t {
  // where settings come from
  config,
  default_config,
  config_stdin,
  watch_config,
  // identity and authentication
  secret,
  secret_file,
  auth_tokens,
  auth_tokens_file,
  authorized_keys_file,
  allowed_endpoint_ids,
  insecure_allow_anyone,
  keep_revoked,
  auth_token,
  auth_token_file,
  private_key_file,
  // what may be reached
  allowed_tcp,
  allowed_udp,
  allowed_unix,
  // the server and its address
  listen,
  external_addresses,
  exclude_interfaces,
  dialects,
  server_node_id,
  addresses,
  ticket,
  dialect,
  // tunnels
  source,
  target,
  stdio,
  socks5,
  // limits and times
  max_sessions,
  max_sessions_per_credential,
  max_flows,
  max_token_auth_failures,
  token_lockout_duration,
  max_address_auth_failures,
  global_auth_failure_window,
  global_auth_failure_threshold,
  global_lockout_duration,
  lockout_log_sample_interval,
  udp_idle_timeout,
  connect_timeout,
  drain_timeout,
  resume_grace,
  multipath,
  max_reconnect_attempts,
  // transport
  workers,
  congestion_controller,
  session_buffer,
  total_buffer,
  mtu,
  keep_alive,
  idle_timeout,
  packet_protection,
  // control
  control_socket,
  no_control,
  metrics_listen,
  metrics_hosts,
  instance,
  watch,
  tunnel_name,
  server_name,
  // output
  json,
  log_format,
  verbose,
  quiet,
  audit_log,
  audit_required,
  qlog_directory,
  key_log_file,
  // tools
  output,
  force,
  auth_key,
  comment,
  count,
};

enum class Type : std::uint8_t {
  flag,
  counter,  // how often it was given
  text,
  number,
  size,  // in MiB
  duration,
  choice,   // one of the words of its placeholder
  choices,  // some of them, with commas between
};

struct Setting {
  Id id;
  CommandSet commands = 0;
  std::string_view flag;  // without "--"
  char letter = 0;        // -x; the same letter may mean another setting in another command
  std::string_view flag_alias{};
  Type type = Type::text;
  std::string_view placeholder{};  // FILE; for choices "cubic|bbr"
  std::string fallback{};          // the default, as text; empty: none
  std::string_view environment{};
  std::string_view environment_alias{};  // tunnel-rs's
  std::string_view key{};                // dotted path in a configuration file; empty: not there
  std::string_view key_alias{};
  ModeSet modes = 0;  // the key is in the section of these; 0: it is the whole path
  bool is_repeatable = false;
  char list_separator = ' ';  // of a repeatable setting in the environment
  bool is_secret = false;     // never on a command line, never in TOML
  bool is_path = false;       // names a file; in a configuration file relative to that one
  // The range of a number or size; of a duration in milliseconds.
  std::int64_t minimum = 0;
  std::int64_t maximum = 0;
  std::string_view zero{};     // what 0 stands for where it is possible outside the range
  bool is_per_server = false;  // of a client: a key of a [[servers]] entry as well
  CommandSet live = 0;         // of these roles: a reload of the configuration applies it
  std::string_view group;
  std::string_view help;
};

[[nodiscard]] const std::vector<Setting>& table();
[[nodiscard]] const Setting& setting(Id id);

// "iroh.listen"
[[nodiscard]] std::string key_of(const Setting& setting, Mode mode = Mode::iroh);
[[nodiscard]] std::string in_section(Mode mode, std::string_view key);
[[nodiscard]] constexpr bool is_of(const Setting& setting, Mode mode) {
  return setting.modes == 0 || (setting.modes & bit(mode)) != 0;
}

// Keys of one [[iroh.tunnels]] entry.
inline constexpr std::string_view kTunnelsKey = "tunnels";  // in the section of the mode
struct TunnelKey {
  std::string_view name;
  Type type;
  std::optional<Id> like;  // has the values of that setting, for this tunnel
  std::string_view help;
};
[[nodiscard]] std::span<const TunnelKey> tunnel_keys();

// A client's servers, when it has several. Keys of one entry: `name`, `tunnels`, and those of
// the settings that are is_per_server.
inline constexpr std::string_view kServersKey = "servers";
[[nodiscard]] std::string_view server_key(const Setting& setting);  // "ticket" of "iroh.ticket"

}  // namespace culvert::settings
