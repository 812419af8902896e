// How one client's session is, as a value: for the control interface.
#pragma once

#include "base/address.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "quic/connection.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace culvert::peer {

struct SessionSnapshot {
  std::uint64_t id = 0;  // unique in this process, counted from 1
  crypto::EndpointId client{};
  std::string comment{};  // of the token or key it logged in with
  std::string address{};  // the client's last
  Instant since{};
  std::size_t flows = 0;
  std::size_t buffered_bytes = 0;  // as its buffers::SessionBudget counts
  // Of the connection that carries it; no path while the session waits for one.
  std::optional<PathId> path{};
  quic::ConnectionStats connection{};
  // Of those that have joined the session.
  struct Joined {
    PathId path;
    quic::ConnectionStats connection;
    bool is_standby = false;  // carries nothing as long as the session's own one works
  };
  std::vector<Joined> joined{};
};

}  // namespace culvert::peer
