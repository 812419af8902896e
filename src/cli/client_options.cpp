#include "cli/client_options.h"

#include "app/ticket.h"
#include "base/limits.h"
#include "base/secret.h"
#include "base/trimmed.h"
#include "cli/key_source.h"
#include "cli/load_settings.h"
#include "cli/role_options.h"
#include "net/system_rng.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace culvert::cli {
namespace {

using settings::Id;
using settings::Settings;
using settings::Value;

// The first word of a token file; a file for a server may hold several.
Result<session::Token> read_token(const Value& value, Logger& log, Occasion occasion) {
  CULVERT_TRY(std::string text, read_named_file(value, limits::kMaxTokenFileBytes, occasion));
  const WipedAtEnd wiped(text);
  warn_if_others_read(value, "token", log);
  CULVERT_TRY(const session::TokenSet tokens, session::TokenSet::parse(text, value.text));
  if (tokens.is_empty()) return fail(ErrorKind::configuration, "holds no token", value.text);
  return tokens.tokens().front();
}

Result<session::ClientCredentials> credentials(const Settings& settings, Logger& log,
                                               Occasion occasion) {
  session::ClientCredentials result;
  if (settings.has(Id::auth_token)) {
    const Value value = settings.value(Id::auth_token);
    CULVERT_TRY(result.token, session::parse_token(trimmed(value.text), value.origin));
  } else if (settings.has(Id::auth_token_file)) {
    CULVERT_TRY(result.token, read_token(settings.value(Id::auth_token_file), log, occasion));
  }
  CULVERT_TRY(result.key, load_key(settings, std::nullopt, Id::private_key_file, log, occasion));
  return result;
}

Status set_address(const Settings& settings, app::ClientServer& server) {
  std::optional<crypto::EndpointId> id;
  const auto add_ticket = [&](const Value& value) -> Status {
    CULVERT_TRY(const app::Ticket ticket, parse_value(value, app::Ticket::parse));
    if (id && *id != ticket.id) {
      return fail(ErrorKind::configuration, "names another EndpointId than the ticket",
                  value.origin);
    }
    id = ticket.id;
    for (const SocketAddress& address : ticket.addresses) {
      server.addresses.push_back({address.ip.text(), address.port});
    }
    return {};
  };
  if (settings.has(Id::server_node_id)) {
    const Value value = settings.value(Id::server_node_id);
    if (app::Ticket::looks_like(trimmed(value.text))) {
      CULVERT_CHECK(add_ticket(value));
    } else {
      CULVERT_TRY(id, parse_value(value, parse_endpoint_id));
    }
  }
  if (settings.has(Id::ticket)) {
    CULVERT_CHECK(add_ticket(settings.value(Id::ticket)));
  }
  if (!id) {
    return fail(ErrorKind::configuration,
                "which server? give its EndpointId with -n, or a ticket with --ticket");
  }
  server.id = *id;
  for (const Value& value : settings.values(Id::addresses)) {
    CULVERT_TRY(HostPort address, parse_value(value, HostPort::parse));
    if (address.port == 0) {
      return fail(ErrorKind::configuration, "port 0 can not be dialled", value.origin);
    }
    if (std::ranges::find(server.addresses, address) == server.addresses.end()) {
      server.addresses.push_back(std::move(address));
    }
  }
  return {};
}

Result<tunnel::TunnelSpec> tunnel_spec(const settings::TunnelEntry& entry) {
  CULVERT_TRY(tunnel::Source source, parse_value(entry.source, tunnel::Source::parse_range));
  CULVERT_TRY(tunnel::Target target, parse_value(entry.target, tunnel::Target::parse));
  auto spec = tunnel::TunnelSpec::make(entry.name, std::move(source), std::move(target));
  if (!spec) return std::unexpected(std::move(spec).error().in(entry.source.origin));
  spec->is_enabled = entry.is_enabled;
  spec->options = {.udp_idle_timeout = entry.duration(Id::udp_idle_timeout),
                   .multipath = entry.choice<Multipath>(Id::multipath)};
  return spec;
}

Result<app::ClientServer> client_server(const Settings& settings, std::string name, Logger& log,
                                        Occasion occasion) {
  app::ClientServer server{.name = std::move(name)};
  CULVERT_CHECK(set_address(settings, server));
  CULVERT_TRY(server.credentials, credentials(settings, log, occasion));
  server.dialect = settings.choice<session::Dialect>(Id::dialect);
  if (server.dialect == session::Dialect::mf_4 && !server.credentials.token &&
      !server.credentials.key) {
    return fail(ErrorKind::configuration,
                "tunnel-rs servers want a token or a key: give --auth-token-file or "
                "--private-key-file",
                "--dialect mf4");
  }
  if (settings.has(Id::socks5)) {
    CULVERT_TRY(server.socks5,
                parse_value(settings.value(Id::socks5), tunnel::Target::parse_one_port));
  }
  return server;
}

Status add_tunnels(const Settings& settings, const std::string& server,
                   std::vector<tunnel::TunnelSpec>& tunnels) {
  for (const settings::TunnelEntry& entry : settings.tunnels()) {
    CULVERT_TRY(tunnel::TunnelSpec spec, tunnel_spec(entry));
    spec.server = server;
    tunnels.push_back(std::move(spec));
  }
  return {};
}

// One server, or the [[servers]], and the tunnels of all.
Status set_servers(const Settings& settings, app::ClientOptions& options, Logger& log,
                   Occasion occasion) {
  std::vector<tunnel::TunnelSpec> tunnels;
  const auto add = [&](const Settings& own, const std::string& name) -> Status {
    CULVERT_TRY(app::ClientServer server, client_server(own, name, log, occasion));
    options.servers.push_back(std::move(server));
    return add_tunnels(own, name, tunnels);
  };
  if (settings.servers().empty()) {
    CULVERT_CHECK(add(settings, ""));
  }
  for (const settings::ServerEntry& entry : settings.servers()) {
    if (Status added = add(entry.settings, entry.name); !added) {
      return std::unexpected(
          std::move(added).error().in(fmt::format("{} '{}'", entry.origin, entry.name)));
    }
  }
  CULVERT_TRY(options.tunnels, tunnel::TunnelSet::make(std::move(tunnels)));
  return {};
}

Status set_stdio(const Settings& settings, app::ClientOptions& options) {
  if (settings.has(Id::stdio)) {
    Value value = settings.value(Id::stdio);
    const bool has_scheme =
        value.text.find("://") != std::string::npos || value.text.starts_with("unix:");
    if (!has_scheme) value.text = "tcp://" + value.text;
    CULVERT_TRY(options.stdio, parse_value(value, tunnel::Source::parse));
    if (options.stdio->protocol == tunnel::Protocol::udp) {
      return fail(ErrorKind::configuration, "needs a stream: tcp or unix", value.origin);
    }
  }
  // Several servers may well wait for `culvert tunnels add`.
  const bool is_idle = options.tunnels.size() == 0 && !options.servers.front().socks5;
  if (is_idle && !options.stdio && settings.servers().empty()) {
    return fail(ErrorKind::configuration,
                "nothing to do: give -s and -t, --socks5 or -W, or [[iroh.tunnels]] in a file");
  }
  return {};
}

}  // namespace

Result<app::ClientOptions> client_options(const Settings& settings, Logger& log,
                                          Occasion occasion) {
  CULVERT_TRY(auto identity, load_key(settings, Id::secret, Id::secret_file, log, occasion));
  if (!identity) {
    // As good as any: servers know clients by token or login key, so many may share one.
    net::SystemRng rng;
    identity = crypto::SecretKey::generate(rng);
  }
  app::ClientOptions options{.identity = *identity};
  CULVERT_CHECK(set_servers(settings, options, log, occasion));
  CULVERT_CHECK(set_stdio(settings, options));
  options.transport = transport_config(settings);
  CULVERT_TRY(options.interfaces, interface_rules(settings));
  CULVERT_TRY(options.protection, protection(settings));
  options.policy = {.connect_timeout = settings.duration(Id::connect_timeout),
                    .udp_flow_idle = settings.duration(Id::udp_idle_timeout),
                    .drain_timeout = settings.duration(Id::drain_timeout),
                    .resume_grace = settings.duration(Id::resume_grace),
                    .multipath = settings.choice<Multipath>(Id::multipath)};
  if (settings.has(Id::max_reconnect_attempts)) {
    options.policy.max_reconnect_attempts =
        settings.number<std::uint32_t>(Id::max_reconnect_attempts);
  }
  options.debug = debug_options(settings);
  CULVERT_TRY(options.control, control_options(settings));
  options.version = CULVERT_VERSION;
  return options;
}

}  // namespace culvert::cli
