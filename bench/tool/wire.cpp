#include "bench/tool/wire.h"

#include <algorithm>
#include <utility>

#include <unistd.h>

namespace culvert::bench {
namespace {

constexpr std::size_t kLargestPacket = 65'535;
// Of one direction in one turn: neither keeps the other waiting for long.
constexpr std::size_t kPacketsPerTurn = 256;

}  // namespace

void Lateness::add(Duration late) {
  const auto step = static_cast<std::size_t>(std::max(late, Duration::zero()) / kStep);
  ++counts_.at(std::min(step, kSteps - 1));
  ++total_;
  max_ = std::max(max_, late);
}

Duration Lateness::percentile(double fraction) const {
  const auto rank = static_cast<std::uint64_t>(fraction * static_cast<double>(total_));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kSteps; ++i) {
    seen += counts_.at(i);
    if (seen > rank) return kStep * static_cast<int>(i + 1);
  }
  return max_;
}

Wire::Wire(std::array<int, 2> ends, const sim::LinkConfig& up, const sim::LinkConfig& down,
           std::uint64_t seed)
    : ways_{Way{.from = ends[0], .to = ends[1], .link = sim::Link(up), .rng = SeededRng(seed)},
            Way{.from = ends[1],
                .to = ends[0],
                .link = sim::Link(down),
                .rng = SeededRng(seed).split(1)}} {}

std::size_t Wire::turn(Instant now) {
  std::size_t moved = 0;
  for (Way& way : ways_) moved += take(way, now) + hand_over(way, now);
  return moved;
}

Instant Wire::next_delivery() const {
  return std::min(ways_[0].link.next_delivery(), ways_[1].link.next_delivery());
}

std::size_t Wire::take(Way& way, Instant now) {
  std::array<std::uint8_t, kLargestPacket> buffer;  // NOLINT(*-member-init): read() fills it
  std::size_t count = 0;
  while (count < kPacketsPerTurn) {
    const ssize_t size = read(way.from, buffer.data(), buffer.size());
    if (size <= 0) break;
    sim::Packet packet;
    packet.payload.assign(buffer.begin(), buffer.begin() + size);
    way.link.handle_packet(now, way.rng, std::move(packet));
    ++count;
  }
  return count;
}

std::size_t Wire::hand_over(Way& way, Instant now) {
  std::size_t count = 0;
  for (; count < kPacketsPerTurn; ++count) {
    const Instant due = way.link.next_delivery();
    const auto packet = way.link.poll(now);
    if (!packet) break;
    lateness_.add(now - due);
    const ssize_t sent = write(way.to, packet->payload.data(), packet->payload.size());
    if (sent < 0) ++way.refused;
  }
  return count;
}

}  // namespace culvert::bench
