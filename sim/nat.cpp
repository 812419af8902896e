#include "sim/nat.h"

#include <algorithm>

namespace culvert::sim {
namespace {

constexpr std::uint16_t kFirstDynamicPort = 1024;

}  // namespace

Nat::Key Nat::key_for(const SocketAddress& inside, const SocketAddress& peer) const {
  switch (config_.mapping) {
    case NatBehaviour::endpoint_independent:
      return {inside, {}};
    case NatBehaviour::address_dependent:
      return {inside, {peer.ip, 0}};
    case NatBehaviour::address_and_port_dependent:
      break;
  }
  return {inside, peer};
}

bool Nat::is_live(Instant now, std::uint16_t port) const {
  const auto found = mapping_by_port_.find(port);
  return found != mapping_by_port_.end() &&
         now - found->second.last_used <= config_.mapping_timeout;
}

std::uint16_t Nat::allocate_port(Instant now, Rng& rng, std::uint16_t inside_port) {
  // A NAT that preserves ports hands out others once it has forgotten who had which:
  // otherwise forget_mappings() would rebind nobody.
  if (config_.ports == PortAllocation::preserving && !has_forgotten_ &&
      !is_live(now, inside_port)) {
    return inside_port;
  }
  for (;;) {
    const std::uint16_t port =
        config_.ports == PortAllocation::random
            ? static_cast<std::uint16_t>(kFirstDynamicPort + rng.below(65'536 - kFirstDynamicPort))
            : next_port_++;
    if (next_port_ < kFirstDynamicPort) next_port_ = kFirstDynamicPort;
    if (port >= kFirstDynamicPort && !is_live(now, port)) return port;
  }
}

SocketAddress Nat::translate_outbound(Instant now, Rng& rng, const SocketAddress& from,
                                      const SocketAddress& to) {
  const Key key = key_for(from, to);
  auto found = port_by_key_.find(key);
  if (found != port_by_key_.end() && !is_live(now, found->second)) {
    mapping_by_port_.erase(found->second);
    port_by_key_.erase(found);
    found = port_by_key_.end();
  }
  if (found == port_by_key_.end()) {
    const std::uint16_t port = allocate_port(now, rng, from.port);
    if (const auto stale = mapping_by_port_.find(port); stale != mapping_by_port_.end()) {
      port_by_key_.erase(stale->second.key);
      mapping_by_port_.erase(stale);
    }
    found = port_by_key_.emplace(key, port).first;
    mapping_by_port_.emplace(port, Mapping{key, now, {}});
  }
  Mapping& mapping = mapping_by_port_.at(found->second);
  mapping.last_used = now;
  mapping.peers.insert(to);
  return {config_.public_ip, found->second};
}

std::optional<SocketAddress> Nat::translate_inbound(Instant now, const SocketAddress& from,
                                                    const SocketAddress& to) {
  if (!is_live(now, to.port)) return std::nullopt;
  const Mapping& mapping = mapping_by_port_.at(to.port);
  const bool is_admitted = std::ranges::any_of(mapping.peers, [&](const SocketAddress& peer) {
    switch (config_.filtering) {
      case NatBehaviour::endpoint_independent:
        return true;
      case NatBehaviour::address_dependent:
        return peer.ip == from.ip;
      case NatBehaviour::address_and_port_dependent:
        break;
    }
    return peer == from;
  });
  if (!is_admitted) return std::nullopt;
  return mapping.key.inside;
}

void Nat::forget_mappings() {
  port_by_key_.clear();
  mapping_by_port_.clear();
  has_forgotten_ = true;
}

}  // namespace culvert::sim
