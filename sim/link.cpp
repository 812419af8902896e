#include "sim/link.h"

#include <algorithm>
#include <utility>

namespace culvert::sim {
namespace {

Duration scaled(Duration duration, double factor) {
  return Duration(static_cast<Duration::rep>(static_cast<double>(duration.count()) * factor));
}

}  // namespace

bool Link::is_later(const InFlight& a, const InFlight& b) {
  return a.due != b.due ? a.due > b.due : a.sequence > b.sequence;
}

bool Link::is_lost(Rng& rng) {
  if (config_.burst_start > 0) {
    const double draw = rng.unit();
    is_in_burst_ = is_in_burst_ ? draw >= config_.burst_end : draw < config_.burst_start;
  } else {
    is_in_burst_ = false;
  }
  const double loss = is_in_burst_ ? config_.burst_loss : config_.loss;
  return loss > 0 && rng.unit() < loss;
}

Instant Link::released(Rng& rng, Instant due) {
  if (config_.hold_most <= Duration::zero()) return due;
  if (next_release_ + config_.hold_most < due) next_release_ = due;
  while (next_release_ < due) {
    next_release_ +=
        config_.hold_least + scaled(config_.hold_most - config_.hold_least, rng.unit());
  }
  return next_release_;
}

void Link::schedule(Instant due, Packet packet) {
  heap_.push_back({due, next_sequence_++, std::move(packet)});
  std::ranges::push_heap(heap_, is_later);
}

std::optional<Instant> Link::serialise(Instant now, std::size_t wire_bytes) {
  if (config_.bits_per_second == 0) return now;
  const Instant starts = std::max(now, busy_until_);
  const double queued_seconds = std::chrono::duration<double>(starts - now).count();
  const double queued_bytes = queued_seconds * static_cast<double>(config_.bits_per_second) / 8;
  if (queued_bytes + static_cast<double>(wire_bytes) > static_cast<double>(config_.queue_bytes)) {
    ++stats_.queue_drops;
    return std::nullopt;
  }
  const double seconds =
      static_cast<double>(wire_bytes) * 8 / static_cast<double>(config_.bits_per_second);
  busy_until_ =
      starts + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  return busy_until_;
}

std::optional<Instant> Link::carry(Instant now, Rng& rng, std::size_t wire_bytes) {
  ++stats_.sent;
  if (config_.is_down || is_lost(rng)) {
    ++stats_.lost;
    return std::nullopt;
  }
  const std::optional<Instant> leaves = serialise(now, wire_bytes);
  if (!leaves) return std::nullopt;
  Instant due = *leaves + config_.delay;
  if (config_.jitter > Duration::zero()) due += scaled(config_.jitter, rng.unit());
  last_in_order_ = released(rng, std::max(due, last_in_order_));
  ++stats_.delivered;
  return last_in_order_;
}

void Link::handle_packet(Instant now, Rng& rng, Packet packet) {
  ++stats_.sent;
  const std::size_t wire_bytes = packet.payload.size() + config_.header_bytes;
  if (wire_bytes > config_.mtu) {
    ++stats_.mtu_drops;
    return;
  }
  if (config_.is_down || is_lost(rng)) {
    ++stats_.lost;
    return;
  }

  const std::optional<Instant> leaves = serialise(now, wire_bytes);
  if (!leaves) return;
  if (config_.mark_ce > 0 && packet.ecn != Ecn::not_ect && rng.unit() < config_.mark_ce) {
    packet.ecn = Ecn::ce;
  }

  Instant due = *leaves + config_.delay;
  if (config_.jitter > Duration::zero()) due += scaled(config_.jitter, rng.unit());
  if (config_.reorder > 0 && rng.unit() < config_.reorder) {
    due += scaled(config_.reorder_delay, rng.unit());
  } else {
    due = last_in_order_ = released(rng, std::max(due, last_in_order_));
  }
  if (config_.duplicate > 0 && rng.unit() < config_.duplicate) {
    schedule(due + scaled(config_.reorder_delay, rng.unit()), packet);
  }
  schedule(due, std::move(packet));
}

Instant Link::next_delivery() const {
  return heap_.empty() ? kNever : heap_.front().due;
}

std::optional<Packet> Link::poll(Instant now) {
  if (heap_.empty() || heap_.front().due > now) return std::nullopt;
  std::ranges::pop_heap(heap_, is_later);
  Packet packet = std::move(heap_.back().packet);
  heap_.pop_back();
  ++stats_.delivered;
  return packet;
}

}  // namespace culvert::sim
