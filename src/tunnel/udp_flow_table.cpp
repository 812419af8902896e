#include "tunnel/udp_flow_table.h"

#include "base/assert.h"

namespace culvert::tunnel {

UdpFlow* UdpFlowTable::find(const SocketAddress& sender, std::uint16_t socket) {
  const auto found = by_sender_.find({sender, socket});
  return found == by_sender_.end() ? nullptr : &*found->second;
}

UdpFlow* UdpFlowTable::find(std::uint64_t id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &*found->second;
}

UdpFlow& UdpFlowTable::add(Instant now, std::uint64_t id, const SocketAddress& sender,
                           std::uint16_t socket) {
  CULVERT_ASSERT(!is_full());
  const auto flow = flows_.insert(
      flows_.end(), UdpFlow{.id = id, .sender = sender, .socket = socket, .last_active = now});
  const bool is_new_sender = by_sender_.emplace(Key{sender, socket}, flow).second;
  const bool is_new_id = by_id_.emplace(id, flow).second;
  CULVERT_ASSERT(is_new_sender && is_new_id);
  return *flow;
}

void UdpFlowTable::touch(Instant now, UdpFlow& flow) {
  flow.last_active = now;
  flows_.splice(flows_.end(), flows_, by_id_.at(flow.id));
}

void UdpFlowTable::remove(UdpFlow& flow) {
  by_sender_.erase({flow.sender, flow.socket});
  const auto found = by_id_.find(flow.id);
  const Flows::iterator node = found->second;
  by_id_.erase(found);
  flows_.erase(node);
}

UdpFlow* UdpFlowTable::poll_expired(Instant now) {
  return flows_.empty() || now < next_timeout() ? nullptr : &flows_.front();
}

Instant UdpFlowTable::next_timeout() const {
  return flows_.empty() ? kNever : flows_.front().last_active + idle_;
}

}  // namespace culvert::tunnel
