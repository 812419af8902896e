// What a role has counted (control/counters.h), from what its engine counts.
#pragma once

#include "control/counters.h"
#include "drive/client.h"
#include "drive/server.h"

namespace culvert::app {

[[nodiscard]] control::Counters counters_of(const drive::ClientStats& stats);
[[nodiscard]] control::Counters counters_of(const drive::ServerStats& stats);  // of one worker

}  // namespace culvert::app
