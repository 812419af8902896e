// The flows of one session. A flow that ends inside one of its own callbacks is retired:
// it gets no more calls, and is buried.
#pragma once

#include "drive/worker.h"
#include "peer/stream_user.h"

#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace culvert::peer {

class FlowSet {
 public:
  explicit FlowSet(drive::Worker& worker) : worker_(worker) {}

  template <typename Flow>
  Flow& add(std::unique_ptr<Flow> flow) {
    Flow& reference = *flow;
    StreamUser* key = flow.get();
    flows_.emplace(key, std::move(flow));
    return reference;
  }
  // The flow must have let go of its stream (context = nullptr). False: not (or no longer)
  // in the set.
  bool retire(StreamUser& flow) {
    const auto found = flows_.find(&flow);
    if (found == flows_.end()) return false;
    worker_.bury(std::move(found->second));
    flows_.erase(found);
    return true;
  }
  [[nodiscard]] StreamUser* any() {
    return flows_.empty() ? nullptr : flows_.begin()->second.get();
  }
  // As they are now: some may end while one goes through them.
  [[nodiscard]] std::vector<StreamUser*> all() const {
    std::vector<StreamUser*> flows;
    flows.reserve(flows_.size());
    for (const auto& [flow, owner] : flows_) flows.push_back(flow);
    return flows;
  }
  [[nodiscard]] std::size_t size() const { return flows_.size(); }

 private:
  std::unordered_map<StreamUser*, std::unique_ptr<StreamUser>> flows_;
  drive::Worker& worker_;
};

}  // namespace culvert::peer
