// The stream flows of one tunnel: counted, and ended with it. Shared by the tunnel and its
// flows, of which some may outlive it for the rest of a turn. Private to drive/.
#pragma once

#include "flow/stream_pump.h"
#include "session/flow_open.h"

#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <variant>

namespace culvert::flow {

class GroupedFlow {
 public:
  // Its tunnel is gone: reset both ends. Harmless when it has ended already.
  virtual void end_with_tunnel(Instant now) = 0;

 protected:
  ~GroupedFlow() = default;
};

struct FlowCounters {
  std::uint64_t opened = 0;
  std::uint64_t refused = 0;
  drive::TrafficCounters traffic{};
  std::string refusal{};  // why the server refused the last flow; empty: it did not
};

class FlowGroup {
 public:
  explicit FlowGroup(FlowCounters counters = {}) : counters_(std::move(counters)) {}

  // `on_change` runs when `refusal` gets another reason or none, until close().
  void watch_refusal(std::function<void(const std::string& refusal)> on_change) {
    on_refusal_changed_ = std::move(on_change);
  }
  void on_reply(const session::FlowReply& reply) {
    const auto* refused = std::get_if<session::FlowRefused>(&reply);
    if (refused != nullptr) ++counters_.refused;
    std::string refusal = refused != nullptr ? refused->reason : std::string{};
    if (refusal == counters_.refusal) return;
    counters_.refusal = std::move(refusal);
    if (on_refusal_changed_) on_refusal_changed_(counters_.refusal);
  }
  void count_opened() { ++counters_.opened; }
  // Ends every flow; those that wait for a stream must ask is_closed() first.
  void close(Instant now) {
    is_closed_ = true;
    on_refusal_changed_ = nullptr;
    for (GroupedFlow* flow : std::exchange(flows_, {})) flow->end_with_tunnel(now);
  }

  [[nodiscard]] bool is_closed() const { return is_closed_; }
  [[nodiscard]] std::size_t active() const { return flows_.size(); }
  [[nodiscard]] drive::TrafficCounters& traffic() { return counters_.traffic; }
  [[nodiscard]] const FlowCounters& counters() const { return counters_; }

 private:
  friend class FlowMembership;
  FlowCounters counters_;
  std::unordered_set<GroupedFlow*> flows_;
  std::function<void(const std::string&)> on_refusal_changed_;
  bool is_closed_ = false;
};

// A flow's place in its group, if it has one; a member of the flow.
class FlowMembership {
 public:
  FlowMembership(std::shared_ptr<FlowGroup> group, GroupedFlow& flow)
      : group_(std::move(group)), flow_(flow) {
    if (group_) group_->flows_.insert(&flow_);
  }
  ~FlowMembership() { leave(); }
  FlowMembership(const FlowMembership&) = delete;
  FlowMembership& operator=(const FlowMembership&) = delete;
  void leave() {
    if (group_) group_->flows_.erase(&flow_);
  }
  // Where to count the flow's bytes: `other` for a flow of no tunnel.
  [[nodiscard]] drive::TrafficCounters& traffic_or(drive::TrafficCounters& other) const {
    return group_ ? group_->traffic() : other;
  }
  void on_reply(const session::FlowReply& reply) const {
    if (group_) group_->on_reply(reply);
  }

 private:
  std::shared_ptr<FlowGroup> group_;  // shared with the tunnel, which may go first
  GroupedFlow& flow_;
};

}  // namespace culvert::flow
