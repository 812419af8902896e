#include "drive/transports.h"

#include "base/limits.h"
#include "base/probe.h"

#include <algorithm>

namespace culvert::drive {

void Transports::set(PathKind kind, Transport& transport, std::size_t max_datagram_bytes) {
  remove(kind);
  way_of(kind) = {.transport = &transport, .max_datagram_bytes = max_datagram_bytes};
}

void Transports::remove(PathKind kind) {
  Way& way = way_of(kind);
  if (way.is_blocked) --blocked_;
  if (way.waiting) drop(way.waiting->batches().subspan(way.waiting_sent));
  way = {};
}

void Transports::send(quic::TxBuilder& tx) {
  const std::span<const TxBatch> batches = tx.batches();
  for (std::size_t from = 0; from < batches.size();) {
    const PathKind kind = path_kind_of(batches[from].path.remote.ip);
    std::size_t to = from + 1;
    while (to < batches.size() && path_kind_of(batches[to].path.remote.ip) == kind) ++to;
    send_run(kind, batches.subspan(from, to - from));
    from = to;
  }
  tx.clear();
}

void Transports::send_run(PathKind kind, std::span<const TxBatch> batches) {
  Way& way = way_of(kind);
  if (way.transport == nullptr) return drop(batches);
  const auto is_too_large = [&](const TxBatch& batch) {
    return batch.segment_size > way.max_datagram_bytes;
  };
  for (std::size_t from = 0; from < batches.size();) {
    const auto rest = batches.subspan(from);
    const auto fitting =
        static_cast<std::size_t>(std::ranges::find_if(rest, is_too_large) - rest.begin());
    if (fitting == 0) {
      drop(rest.first(1));
      ++from;
      continue;
    }
    send_fitting(way, rest.first(fitting));
    from += fitting;
  }
}

void Transports::send_fitting(Way& way, std::span<const TxBatch> batches) {
  if (way.is_blocked) return keep(way, batches);
  const UdpSendResult result = way.transport->send_batch(batches);
  if (!result.is_blocked) return;
  CULVERT_PROBE("drive.a transport takes no more");
  way.is_blocked = true;
  ++blocked_;
  keep(way, batches.subspan(result.batches_taken));
}

void Transports::keep(Way& way, std::span<const TxBatch> batches) {
  if (!way.waiting) way.waiting = std::make_unique<quic::TxBuilder>(limits::kTransportBacklog);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    if (!way.waiting->add(batches[i])) return drop(batches.subspan(i));
  }
}

void Transports::drop(std::span<const TxBatch> batches) {
  for (const TxBatch& batch : batches) dropped_ += segment_count(batch);
}

bool Transports::on_writable(PathKind kind) {
  Way& way = way_of(kind);
  if (!way.is_blocked) return true;
  way.is_blocked = false;
  --blocked_;
  if (!way.waiting) return true;
  // Kept as it is until all of it has left: to move the rest would copy it each time.
  const auto batches = way.waiting->batches().subspan(way.waiting_sent);
  const UdpSendResult result = way.transport->send_batch(batches);
  if (result.is_blocked) {
    way.waiting_sent += result.batches_taken;
    way.is_blocked = true;
    ++blocked_;
    return false;
  }
  way.waiting->clear();
  way.waiting_sent = 0;
  return true;
}

}  // namespace culvert::drive
