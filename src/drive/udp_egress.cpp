#include "drive/udp_egress.h"

#include <algorithm>

namespace culvert::drive {
namespace {

constexpr std::size_t kEgressArenaBytes = 256 * 1024;
constexpr std::size_t kMaxEgressBatches = 4'096;  // empty datagrams take no room in the arena

}  // namespace

UdpEgress::UdpEgress() : builder_(kEgressArenaBytes) {}

void UdpEgress::send(UdpPort& port, const PathId& path, ByteView payload) {
  if (&port != port_) flush();
  port_ = &port;
  ByteSpan room = builder_.tail(payload.size());
  if (room.size() < payload.size() || builder_.batches().size() >= kMaxEgressBatches) {
    flush();
    port_ = &port;
    room = builder_.tail(payload.size());
    if (room.size() < payload.size()) {
      ++dropped_;
      return;
    }
  }
  std::ranges::copy(payload, room.begin());
  builder_.commit(path, Ecn::not_ect, payload.size());
}

void UdpEgress::flush() {
  if (port_ != nullptr && !builder_.is_empty()) {
    const auto batches = builder_.batches();
    const UdpSendResult result = port_->send_batch(batches);
    for (const TxBatch& lost : batches.subspan(result.batches_taken)) {
      dropped_ += segment_count(lost);
    }
  }
  builder_.clear();
  port_ = nullptr;
}

void UdpEgress::forget(UdpPort& port) {
  if (&port == port_) flush();
}

}  // namespace culvert::drive
