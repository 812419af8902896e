#include "cli/server_options.h"

#include "base/limits.h"
#include "base/secret.h"
#include "base/trimmed.h"
#include "cli/key_source.h"
#include "cli/load_settings.h"
#include "cli/role_options.h"
#include "net/system_rng.h"

#include <fmt/format.h>

namespace culvert::cli {
namespace {

using settings::Id;
using settings::Settings;
using settings::Value;

Result<session::ServerAuthPolicy> auth_policy(const Settings& settings, Logger& log,
                                              Occasion occasion) {
  session::ServerAuthPolicy policy;
  if (settings.has(Id::auth_tokens_file)) {
    const Value value = settings.value(Id::auth_tokens_file);
    CULVERT_TRY(std::string text, read_named_file(value, limits::kMaxTokenFileBytes, occasion));
    const WipedAtEnd wiped(text);
    warn_if_others_read(value, "token", log);
    CULVERT_TRY(policy.tokens, session::TokenSet::parse(text, value.text));
    if (policy.tokens.is_empty()) {
      return fail(ErrorKind::configuration,
                  "holds no token; make one with: culvert token >> " + value.text, value.text);
    }
  }
  for (const Value& value : settings.values(Id::auth_tokens)) {
    CULVERT_TRY(session::Token token, session::parse_token(trimmed(value.text), value.origin));
    CULVERT_CHECK(policy.tokens.add(std::move(token)));
  }
  if (settings.has(Id::authorized_keys_file)) {
    const Value value = settings.value(Id::authorized_keys_file);
    CULVERT_TRY(const std::string text,
                read_named_file(value, limits::kMaxAuthorizedKeysBytes, occasion));
    CULVERT_TRY(policy.keys, crypto::AuthorizedKeys::parse(text, value.text));
    const auto& others = policy.keys.passed_over();
    if (policy.keys.is_empty()) {
      return fail(ErrorKind::configuration,
                  others.empty()
                      ? "holds no public key"
                      : "holds no key of type ssh-ed25519, and others are not supported; "
                        "make one with 'ssh-keygen -t ed25519'",
                  value.text);
    }
    if (!others.empty()) {
      log.warn("keys", "{}: a key of type {} lets nobody in: only ssh-ed25519 does{}",
               others.front().place, others.front().type,
               others.size() > 1 ? fmt::format(" (and {} more)", others.size() - 1) : "");
    }
  }
  for (const Value& value : settings.values(Id::allowed_endpoint_ids)) {
    CULVERT_TRY(const crypto::EndpointId id, parse_value(value, parse_endpoint_id));
    policy.endpoint_ids.emplace(id, "");
  }
  policy.allows_anyone = settings.flag(Id::insecure_allow_anyone);
  if (policy.is_empty()) {
    return fail(ErrorKind::configuration,
                "nobody could log in: give --auth-tokens-file (make a token with 'culvert token'), "
                "--authorized-keys-file or --allowed-endpoint-id");
  }
  return policy;
}

Result<tunnel::SourcePolicy> source_policy(const Settings& settings) {
  tunnel::SourcePolicy policy;
  const auto fill = [&settings](Id id, auto& list) -> Status {
    for (const Value& value : settings.values(id)) {
      const auto add = [&list](const std::string& text) { return list.add(text); };
      CULVERT_CHECK(parse_value(value, add));
    }
    return {};
  };
  CULVERT_CHECK(fill(Id::allowed_tcp, policy.tcp));
  CULVERT_CHECK(fill(Id::allowed_udp, policy.udp));
  CULVERT_CHECK(fill(Id::allowed_unix, policy.unix_sockets));
  if (policy.is_empty()) {
    return fail(ErrorKind::configuration,
                "clients could reach nothing: give --allowed-tcp, --allowed-udp or --allowed-unix, "
                "e.g. --allowed-tcp 127.0.0.0/8");
  }
  return policy;
}

session::AuthLimits auth_limits(const Settings& settings) {
  const auto number = [&settings](Id id) { return settings.number<std::uint32_t>(id); };
  return {.max_credential_failures = number(Id::max_token_auth_failures),
          .max_address_failures = number(Id::max_address_auth_failures),
          .lockout = settings.duration(Id::token_lockout_duration),
          .global_failures = number(Id::global_auth_failure_threshold),
          .global_window = settings.duration(Id::global_auth_failure_window),
          .global_lockout = settings.duration(Id::global_lockout_duration),
          .log_sample_interval = number(Id::lockout_log_sample_interval)};
}

}  // namespace

Result<app::ServerOptions> server_options(const Settings& settings, Logger& log,
                                          Occasion occasion) {
  CULVERT_TRY(auto identity, load_key(settings, Id::secret, Id::secret_file, log, occasion));
  if (!identity) {
    log.warn("keys",
             "no --secret-file: this EndpointId is gone when the server stops; keep one "
             "with: culvert key generate -o FILE");
    net::SystemRng rng;
    identity = crypto::SecretKey::generate(rng);
  }
  app::ServerOptions options{.identity = *identity};
  CULVERT_TRY(options.policy.auth, auth_policy(settings, log, occasion));
  options.auth_limits = auth_limits(settings);
  options.audit_log = expand_home(settings.text(Id::audit_log));
  options.audit_required = settings.flag(Id::audit_required);
  if (options.audit_required && options.audit_log.empty()) {
    return fail(ErrorKind::configuration, "needs --audit-log FILE",
                settings.value(Id::audit_required).origin);
  }
  CULVERT_TRY(options.policy.sources, source_policy(settings));
  if (options.policy.auth.allows_anyone) {
    log.warn("auth", "--insecure-allow-anyone: who knows the EndpointId gets in");
  }
  Value listen = settings.value(Id::listen);
  if (listen.text.starts_with("*:")) listen.text.replace(0, 1, "[::]");
  CULVERT_TRY(options.bind, parse_value(listen, SocketAddress::parse));
  for (const Value& value : settings.values(Id::external_addresses)) {
    CULVERT_TRY(const SocketAddress address, parse_value(value, SocketAddress::parse));
    options.external_addresses.push_back(address);
  }
  options.dialects = settings.choices<session::Dialect>(Id::dialects);
  options.transport = transport_config(settings);
  CULVERT_TRY(options.interfaces, interface_rules(settings));
  CULVERT_TRY(options.protection, protection(settings));
  options.policy.max_sessions = settings.number<std::uint32_t>(Id::max_sessions);
  options.policy.max_sessions_per_credential =
      settings.number<std::uint32_t>(Id::max_sessions_per_credential);
  options.policy.max_flows_per_session = settings.number<std::uint32_t>(Id::max_flows);
  options.policy.udp_flow_idle = settings.duration(Id::udp_idle_timeout);
  options.policy.keeps_revoked = settings.flag(Id::keep_revoked);
  options.times = {.drain_timeout = settings.duration(Id::drain_timeout),
                   .resume_grace = settings.duration(Id::resume_grace)};
  options.workers = settings.number<unsigned>(Id::workers);
  options.debug = debug_options(settings);
  CULVERT_TRY(options.control, control_options(settings));
  options.version = CULVERT_VERSION;
  return options;
}

}  // namespace culvert::cli
