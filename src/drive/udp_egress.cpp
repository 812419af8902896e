#include "drive/udp_egress.h"

#include <algorithm>

namespace culvert::drive {
namespace {

constexpr std::size_t kEgressArenaBytes = 256 * 1024;

}  // namespace

UdpEgress::UdpEgress() : builder_(kEgressArenaBytes) {}

void UdpEgress::send(UdpPort& port, const PathId& path, ByteView payload) {
  if (payload.empty()) return;  // a segment of no bytes cannot be batched; nobody misses it
  if (&port != port_) flush();
  port_ = &port;
  ByteSpan room = builder_.tail(payload.size());
  if (room.empty()) {
    flush();
    port_ = &port;
    room = builder_.tail(payload.size());
    if (room.empty()) {
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
      dropped_ += (lost.bytes.size() + lost.segment_size - 1) / lost.segment_size;
    }
  }
  builder_.clear();
  port_ = nullptr;
}

void UdpEgress::forget(UdpPort& port) {
  if (&port == port_) flush();
}

}  // namespace culvert::drive
