// What the greeters and the sessions of one worker share with their server. Private to drive/.
#pragma once

#include "base/log_sampler.h"
#include "drive/counters.h"
#include "drive/traffic_counters.h"
#include "drive/worker.h"
#include "peer/server_flow_factory.h"
#include "peer/server_shared.h"

#include <cstdint>
#include <memory>

namespace culvert::peer {

struct ServerContext {
  drive::Worker& worker;
  ServerShared& shared;
  std::shared_ptr<const ServerPolicy> policy;  // the worker's own, replaced by set_policy
  drive::Counters& stats;
  drive::TrafficCounters& traffic;
  ServerFlowFactory& flows;
  std::uint8_t worker_index = 0;
  LogSampler broken_handshakes;  // repeated warnings
  bool is_stopping = false;
};

}  // namespace culvert::peer
