// session::FlowCode as QUIC takes it: the number in RESET_STREAM and STOP_SENDING.
#pragma once

#include "session/dialect.h"

#include <cstdint>

namespace culvert::peer {

inline constexpr auto kNone = static_cast<std::uint64_t>(session::FlowCode::none);
inline constexpr auto kReset = static_cast<std::uint64_t>(session::FlowCode::reset);
inline constexpr auto kRefused = static_cast<std::uint64_t>(session::FlowCode::refused);
inline constexpr auto kProtocolError =
    static_cast<std::uint64_t>(session::FlowCode::protocol_error);
inline constexpr auto kUnknown = static_cast<std::uint64_t>(session::FlowCode::unknown);

}  // namespace culvert::peer
