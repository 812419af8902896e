// How one tunnel of a client is: for people and for the control interface.
#pragma once

#include "base/time.h"
#include "drive/counters.h"
#include "tunnel/source.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::flow {

enum class TunnelState : std::uint8_t {
  waiting,         // the client is not connected yet
  listening,       // takes connections, at some of its ports at least
  source_refused,  // listens too, but the server refused the source when last asked
  failed,          // cannot listen; tries again at `next_retry`
  disabled,
};
[[nodiscard]] std::string_view to_string(TunnelState state);

struct TunnelStatus {
  tunnel::TunnelSpec spec;
  TunnelState state = TunnelState::waiting;
  std::vector<std::string> local_addresses{};  // where it listens, a run of ports as one
  std::string reason{};  // failed, source_refused: why; listening: what could not be opened
  std::optional<Instant> next_retry{};  // of what could not
  drive::TunnelCounters counters{};
};

// The local proxy port (SOCKS5 ...), which is no tunnel: programs choose its sources.
struct ProxyStatus {
  std::string target;  // as it was wished for
  TunnelState state = TunnelState::waiting;
  std::vector<std::string> local_addresses{};
  std::string reason{};  // as TunnelStatus
};

}  // namespace culvert::flow
