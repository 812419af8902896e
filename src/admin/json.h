// The JSON of the control interface: answers out of snapshots, and changes out of bodies.
// Times are seconds, sizes bytes; text that is not UTF-8 is mended, never an error.
#pragma once

#include "admin/snapshot.h"
#include "admin/target.h"
#include "base/log.h"
#include "base/result.h"
#include "http/message.h"
#include "peer/role_event.h"

#include <string>
#include <string_view>

namespace culvert::admin {

// {error, offender, fix}
[[nodiscard]] http::Response error_response(int status, std::string_view error,
                                            std::string_view offender, std::string_view fix);
// By the error's kind.
[[nodiscard]] http::Response error_response(const Error& error);

[[nodiscard]] std::string status_json(const Snapshot& snapshot);
[[nodiscard]] std::string paths_json(const Snapshot& snapshot);
[[nodiscard]] std::string sessions_json(const Snapshot& snapshot);
[[nodiscard]] std::string tunnels_json(const Snapshot& snapshot);
[[nodiscard]] std::string log_level_json(LogLevel level);
// In the event stream format, ready to send. `unix_time_s` is when it happened.
[[nodiscard]] std::string event_text(const peer::RoleEvent& event, double unix_time_s);

// Bodies of requests. Members nobody knows are errors: a mistyped one must not pass silently.
[[nodiscard]] Result<TunnelChange> parse_tunnel_change(TunnelAction action, std::string_view body);
[[nodiscard]] Result<LogLevel> parse_log_level(std::string_view body);
// {"reason": "..."}, or nothing at all: a default.
[[nodiscard]] Result<std::string> parse_reason(std::string_view body);

}  // namespace culvert::admin
