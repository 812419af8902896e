#include "sim/sim_udp.h"

#include <algorithm>
#include <utility>

namespace culvert::sim {
namespace {

constexpr std::size_t kMaxCoalescedBytes = 65'000;
constexpr std::size_t kMaxCoalescedSegments = 64;
constexpr Duration kBlockedFor = std::chrono::microseconds(200);

}  // namespace

SimUdpPort::SimUdpPort(SimHost& host, const UdpOptions& options, UdpHandler& handler)
    : host_(host),
      machine_(host.machine()),
      options_(options),
      handler_(handler),
      rng_(host.world().rng_for("udp " + machine_.name())) {}

Result<std::unique_ptr<UdpPort>> SimUdpPort::open(SimHost& host, const UdpOptions& options,
                                                  UdpHandler& handler) {
  if (const auto& on_dial = host.machine().network().on_dial; on_dial && options.remote) {
    on_dial(host.machine(), *options.remote, Network::DialKind::datagrams);
  }
  std::unique_ptr<SimUdpPort> port(new SimUdpPort(host, options, handler));
  CULVERT_TRY(port->port_, port->machine_.bind_udp(options.bind, options.is_shared, *port));
  return port;
}

SimUdpPort::~SimUdpPort() {
  alive_.end();
  if (port_ != 0) machine_.unbind_udp(port_, *this);
}

SocketAddress SimUdpPort::local_address() const {
  return {options_.bind.ip, port_};
}

void SimUdpPort::deliver(Instant, Packet packet) {
  if (options_.remote && packet.from != *options_.remote) return;
  if (queued_bytes_ + packet.payload.size() > host_.knobs().udp_queue_bytes) return;
  queued_bytes_ += packet.payload.size();
  queue_.push_back(std::move(packet));
  schedule_readable();
}

void SimUdpPort::on_refused(Instant, const UdpRefusal& refusal) {
  if (!wants_refusals_) return;
  refusals_.push_back(refusal);
  schedule_readable();
}

std::optional<UdpRefusal> SimUdpPort::poll_refusal() {
  if (refusals_.empty()) return std::nullopt;
  UdpRefusal refusal = std::move(refusals_.front());
  refusals_.pop_front();
  return refusal;
}

void SimUdpPort::schedule_readable() {
  if (is_readable_scheduled_ || (queue_.empty() && refusals_.empty())) return;
  is_readable_scheduled_ = true;
  host_.run_after(Duration::zero(), [this, alive = alive_.token()](Instant now) {
    if (!alive) return;
    is_readable_scheduled_ = false;
    handler_.on_udp_readable(now);
    if (alive) schedule_readable();
  });
}

std::size_t SimUdpPort::recv_batch(std::span<RxDatagram> out) {
  lent_.clear();
  lent_.reserve(out.size());
  std::size_t count = 0;
  while (count < out.size() && !queue_.empty()) {
    Packet first = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= first.payload.size();
    const std::size_t segment = first.payload.size();
    Bytes glued = std::move(first.payload);
    std::size_t segments = 1;
    while (host_.knobs().coalesces_datagrams && segment > 0 && !queue_.empty() &&
           segments < kMaxCoalescedSegments) {
      Packet& next = queue_.front();
      const std::size_t size = next.payload.size();
      if (next.from != first.from || next.to != first.to || next.ecn != first.ecn || size == 0 ||
          size > segment || glued.size() + size > kMaxCoalescedBytes) {
        break;
      }
      glued.insert(glued.end(), next.payload.begin(), next.payload.end());
      queued_bytes_ -= size;
      queue_.pop_front();
      ++segments;
      if (size < segment) break;
    }
    lent_.push_back(std::move(glued));
    out[count++] = {.path = {.local = first.to, .remote = first.from},
                    .ecn = first.ecn,
                    .segment_size = static_cast<std::uint16_t>(segment),
                    .bytes = lent_.back()};
  }
  return count;
}

UdpSendResult SimUdpPort::send_batch(std::span<const TxBatch> batches) {
  UdpSendResult result;
  for (const TxBatch& batch : batches) {
    // As the kernel: the socket is of the other family.
    if (!options_.remote && options_.bind.ip.is_v4() && batch.path.remote.ip.is_v6()) {
      ++result.batches_taken;
      continue;
    }
    if (is_blocked_ ||
        (host_.knobs().send_blocked > 0 && rng_.unit() < host_.knobs().send_blocked)) {
      result.is_blocked = true;
      schedule_writable();
      return result;
    }
    for_each_segment(batch, [&](ByteView segment) {
      const IpAddress from =
          batch.path.local.ip.is_unspecified() ? options_.bind.ip : batch.path.local.ip;
      machine_.send({.from = {from, port_},
                     .to = options_.remote.value_or(batch.path.remote),
                     .ecn = batch.ecn,
                     .payload = Bytes(segment.begin(), segment.end())});
    });
    ++result.batches_taken;
  }
  return result;
}

void SimUdpPort::schedule_writable() {
  if (is_blocked_) return;
  is_blocked_ = true;
  host_.run_after(kBlockedFor, [this, alive = alive_.token()](Instant now) {
    if (!alive) return;
    is_blocked_ = false;
    handler_.on_udp_writable(now);
  });
}

}  // namespace culvert::sim
