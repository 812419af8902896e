// What a role counts on one worker: each member has its row in admin/counters.cpp, from which
// sums, JSON, metrics and documentation follow. A new one is a member here, its row there, and
// where it is counted. Counts are since the start; what exists now is called *_active, or
// *_suspended.
#pragma once

#include "quic/endpoint.h"

#include <cstdint>

namespace culvert::drive {

struct Counters {
  std::uint64_t sessions_accepted = 0;
  std::uint64_t sessions_refused = 0;
  std::uint64_t sessions_active = 0;
  std::uint64_t sessions_suspended = 0;  // of these, without a connection now
  std::uint64_t sessions_opened = 0;     // by a client: new ones, the first included
  std::uint64_t sessions_resumed = 0;
  std::uint64_t reconnect_attempts = 0;
  std::uint64_t connections_active = 0;  // of a server, whatever their state
  std::uint64_t connections_unread = 0;  // closed: what we had to say was not read
  std::uint64_t flows_opened = 0;
  std::uint64_t flows_refused = 0;
  std::uint64_t flows_active = 0;
  std::uint64_t flows_dropped = 0;   // reset: too much of theirs waited for a connection
  std::uint64_t flows_unserved = 0;  // waited in vain for a connection to the server
  std::uint64_t bytes_up = 0;        // towards sources
  std::uint64_t bytes_down = 0;      // from sources
  std::uint64_t udp_dropped = 0;
  std::uint64_t handed_over = 0;
  std::uint64_t packets_stray = 0;   // received, and for nobody here
  std::uint64_t packets_unsent = 0;  // of ours, for which no way out had room
  std::uint64_t path_changes = 0;
  quic::EndpointStats endpoint{};
};

// Of one tunnel of a client.
struct TunnelCounters {
  std::uint64_t flows_opened = 0;
  std::uint64_t flows_refused = 0;
  std::uint64_t flows_active = 0;
  std::uint64_t bytes_up = 0;    // to the source
  std::uint64_t bytes_down = 0;  // from the source
};

}  // namespace culvert::drive
