// The protocols a session may speak; the ALPN chooses, and in mf/4 the kind of proof.
#pragma once

#include "base/words.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace culvert::session {

enum class Dialect : std::uint8_t {
  culvert_1,   // docs/protocol/culvert-1.md
  mf_4,        // tunnel-rs 0.5 .. 0.6 (body version 4), docs/protocol/mf-4.md
  mf_4_token,  // tunnel-rs 0.4 (body version 3): what mf/4 becomes when a token is the proof
};

}  // namespace culvert::session

namespace culvert {

// The third is what comes of the second.
template <>
inline constexpr std::array<std::string_view, 2> kWords<session::Dialect>{"culvert", "mf4"};

}  // namespace culvert

namespace culvert::session {

[[nodiscard]] constexpr std::string_view alpn(Dialect dialect) {
  return dialect == Dialect::culvert_1 ? "culvert/1" : "mf/4";
}

[[nodiscard]] constexpr std::optional<Dialect> dialect_of(std::string_view alpn_text) {
  if (alpn_text == alpn(Dialect::culvert_1)) return Dialect::culvert_1;
  if (alpn_text == alpn(Dialect::mf_4)) return Dialect::mf_4;
  return std::nullopt;
}

// Application codes of CONNECTION_CLOSE, common to both dialects (mf/4 defines 0 to 3).
enum class CloseCode : std::uint64_t {
  done = 0,
  auth_failed = 1,
  auth_timeout = 2,
  rate_limited = 3,
  protocol_error = 4,
  session_limit = 5,
  shutting_down = 6,
  moved = 7,  // the session goes on on another connection
};

// Codes of RESET_STREAM and STOP_SENDING on flow streams.
enum class FlowCode : std::uint64_t {
  none = 0,     // done with it
  reset = 1,    // the TCP connection behind it was reset
  refused = 2,  // the source was not allowed or not reached
  protocol_error = 3,
  cancelled = 4,  // the session ends
  unknown = 5,    // the flow to be resumed is over
};

}  // namespace culvert::session
