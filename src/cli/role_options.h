// What the roles have in common between settings and options.
#pragma once

#include "app/options.h"
#include "base/log.h"
#include "base/trimmed.h"
#include "net/interfaces.h"
#include "net/stderr_sink.h"
#include "settings/resolver.h"

namespace culvert::cli {

[[nodiscard]] quic::TransportConfig transport_config(const settings::Settings& settings);
[[nodiscard]] Result<std::optional<quic::ProtectionBackend>> protection(
    const settings::Settings& settings);
[[nodiscard]] app::DebugOptions debug_options(const settings::Settings& settings);
[[nodiscard]] Result<admin::ControlOptions> control_options(const settings::Settings& settings);
[[nodiscard]] Result<net::InterfaceRules> interface_rules(const settings::Settings& settings);
[[nodiscard]] net::LogFormat log_format(const settings::Settings& settings);
[[nodiscard]] LogLevel log_level(const settings::Settings& settings);

// In the forms that `culvert key show`, its lines and other programs print it.
[[nodiscard]] Result<crypto::EndpointId> parse_endpoint_id(std::string_view text);

// `parse` of a value's text, trimmed; its error names where the value came from.
template <typename Parse>
auto parse_value(const settings::Value& value, Parse parse) -> decltype(parse(value.text)) {
  auto parsed = parse(std::string(trimmed(value.text)));
  if (!parsed) return std::unexpected(std::move(parsed).error().in(value.origin));
  return parsed;
}

}  // namespace culvert::cli
