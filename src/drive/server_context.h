// What the greeters and the sessions of one worker share with their server. Private to drive/.
#pragma once

#include "base/log_sampler.h"
#include "drive/server.h"
#include "drive/server_flow_factory.h"
#include "drive/traffic_counters.h"
#include "drive/worker.h"

#include <cstdint>
#include <memory>

namespace culvert::drive {

struct ServerContext {
  Worker& worker;
  ServerShared& shared;
  std::shared_ptr<const ServerPolicy> policy;  // the worker's own, replaced by set_policy
  Counters& stats;
  TrafficCounters& traffic;
  ServerFlowFactory& flows;
  std::uint8_t worker_index = 0;
  LogSampler broken_handshakes;  // repeated warnings
  bool is_stopping = false;
};

}  // namespace culvert::drive
