#include "cli/role_options.h"

#include "base/limits.h"
#include "cli/control_access.h"
#include "cli/load_settings.h"
#include "crypto/key_file.h"
#include "quic/config.h"
#include "tunnel/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

namespace culvert::cli {

using settings::Id;
using settings::Settings;

namespace {
constexpr std::size_t kMaxInterfaceName = 15;  // IFNAMSIZ less its NUL
}  // namespace

Result<crypto::EndpointId> parse_endpoint_id(std::string_view text) {
  // The whole output, or a line of it, with its label.
  std::string_view line = trimmed(text.substr(0, text.find('\n')));
  for (const std::string_view label : {"EndpointId:", "authorized_keys:"}) {
    if (line.starts_with(label)) line = trimmed(line.substr(label.size()));
  }
  if (!line.starts_with("ssh-ed25519 ") && !line.starts_with("ed25519-pub:")) {
    return crypto::EndpointId::parse(line);
  }
  return crypto::parse_public_key(line, line);
}

quic::TransportConfig transport_config(const Settings& settings) {
  return {.congestion_control = settings.choice<quic::CongestionControl>(Id::congestion_controller),
          .fixed_udp_payload_size = settings.number<std::uint16_t>(Id::mtu),
          .keep_alive = settings.duration(Id::keep_alive),
          .idle_timeout = settings.duration(Id::idle_timeout),
          .session_buffer_bytes = settings.bytes(Id::session_buffer),
          .process_buffers =
              std::make_shared<buffers::ProcessBudget>(settings.bytes(Id::total_buffer))};
}

Result<std::optional<quic::ProtectionBackend>> protection(const Settings& settings) {
  const auto backend = settings.choice_or_none<quic::ProtectionBackend>(Id::packet_protection);
  if (backend && !quic::is_available(*backend)) {
    const settings::Value value = settings.value(Id::packet_protection);
    return fail(ErrorKind::configuration,
                "this machine has no " + value.text + "; auto finds what it has", value.origin);
  }
  return backend;
}

app::DebugOptions debug_options(const Settings& settings) {
  return {.qlog_directory = expand_home(settings.text(Id::qlog_directory)),
          .key_log_file = expand_home(settings.text(Id::key_log_file))};
}

Result<admin::ControlOptions> control_options(const Settings& settings) {
  admin::ControlOptions options{.is_enabled = !settings.flag(Id::no_control),
                                .socket = expand_home(settings.text(Id::control_socket)),
                                .directory = control_directory()};
  if (!options.is_enabled && settings.has(Id::control_socket)) {
    return fail(ErrorKind::configuration, "and --no-control exclude each other",
                settings.value(Id::control_socket).origin);
  }
  if (settings.has(Id::metrics_listen)) {
    CULVERT_TRY(const tunnel::Target metrics,
                parse_value(settings.value(Id::metrics_listen), tunnel::Target::parse_one_port));
    options.metrics = metrics.addresses();
    for (const settings::Value& value : settings.values(Id::metrics_hosts)) {
      options.metrics_hosts.push_back(value.text);
    }
  }
  return options;
}

Result<net::InterfaceRules> interface_rules(const Settings& settings) {
  net::InterfaceRules rules;
  for (const settings::Value& value : settings.values(Id::exclude_interfaces)) {
    if (value.text == "none") {
      rules.trusts_all = true;
      continue;
    }
    const std::size_t star = value.text.find('*');
    const bool is_name = !value.text.empty() && value.text.size() <= kMaxInterfaceName &&
                         value.text.find_first_of("/ \t") == std::string::npos &&
                         (star == std::string::npos || star + 1 == value.text.size());
    if (!is_name) {
      return fail(ErrorKind::configuration,
                  fmt::format("'{}' is no name of an interface (see: ip link); * may be at its end",
                              value.text),
                  value.origin);
    }
    if (rules.excluded.size() >= limits::kMaxExcludedInterfaces) {
      return fail(
          ErrorKind::configuration,
          fmt::format("more than {} names: use * at the end", limits::kMaxExcludedInterfaces),
          value.origin);
    }
    rules.excluded.push_back(value.text);
  }
  return rules;
}

net::LogFormat log_format(const Settings& settings) {
  return settings.choice<net::LogFormat>(Id::log_format);
}

LogLevel log_level(const Settings& settings) {
  // -W stands in a pipe: as ssh, it says nothing of what goes well.
  const bool is_quiet = settings.has(Id::stdio) && settings.count(Id::verbose) == 0;
  const auto level = static_cast<int>(is_quiet ? LogLevel::warn : LogLevel::info) +
                     static_cast<int>(settings.count(Id::verbose)) -
                     static_cast<int>(settings.count(Id::quiet));
  return static_cast<LogLevel>(
      std::clamp(level, static_cast<int>(LogLevel::error), static_cast<int>(LogLevel::trace)));
}

}  // namespace culvert::cli
