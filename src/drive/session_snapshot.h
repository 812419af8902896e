// How one client's session is, as a value: for the control interface.
#pragma once

#include "base/address.h"
#include "base/time.h"
#include "crypto/keys.h"
#include "quic/connection.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace culvert::drive {

struct SessionSnapshot {
  std::uint64_t id = 0;  // unique in this process, counted from 1
  crypto::EndpointId client{};
  std::string comment{};  // of the token or key it logged in with
  PathId path{};
  Instant since{};
  std::size_t flows = 0;
  quic::ConnectionStats connection{};
};

}  // namespace culvert::drive
