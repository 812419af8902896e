#include "sim/nat.h"

#include <algorithm>

namespace culvert::sim {
namespace {

constexpr std::uint32_t kFirstDynamicPort = 1024;
constexpr std::uint32_t kDynamicPorts = 65'536 - kFirstDynamicPort;

}  // namespace

Nat::Nat(NatConfig config) : config_(std::move(config)), public_ips_{config_.public_ip} {
  public_ips_.insert(public_ips_.end(), config_.pool.begin(), config_.pool.end());
}

bool Nat::owns(const IpAddress& ip) const {
  return std::ranges::find(public_ips_, ip) != public_ips_.end();
}

bool Nat::is_taken(Instant now, const SocketAddress& outside, const SocketAddress& peer) const {
  const auto found = strangers_.find({outside, peer});
  return found != strangers_.end() && now - found->second <= config_.stranger_timeout;
}

Nat::Key Nat::key_for(Instant now, const SocketAddress& inside, const SocketAddress& peer) const {
  const Key exact{inside, peer};
  Key usual = exact;
  if (config_.mapping == NatBehaviour::endpoint_independent) usual.peer = {};
  if (config_.mapping == NatBehaviour::address_dependent) usual.peer.port = 0;
  if (!config_.is_taken_by_strangers) return usual;
  // Towards who has its port it keeps a mapping of its own.
  const auto live_at = [&](const Key& key) -> std::optional<SocketAddress> {
    const auto found = outside_by_key_.find(key);
    if (found == outside_by_key_.end() || !is_live(now, found->second)) return std::nullopt;
    return found->second;
  };
  if (live_at(exact)) return exact;
  const auto would_have = live_at(usual).value_or(SocketAddress{config_.public_ip, inside.port});
  return is_taken(now, would_have, peer) ? exact : usual;
}

bool Nat::is_live(Instant now, const SocketAddress& outside) const {
  const auto found = mapping_by_outside_.find(outside);
  return found != mapping_by_outside_.end() &&
         now - found->second.last_used <= config_.mapping_timeout;
}

IpAddress Nat::address_for(Rng& rng, const IpAddress& inside) {
  if (public_ips_.size() == 1) return public_ips_.front();
  if (!config_.has_paired_pool) return public_ips_[rng.below(public_ips_.size())];
  const IpAddress next = public_ips_[paired_.size() % public_ips_.size()];
  return paired_.emplace(inside, next).first->second;
}

std::uint16_t Nat::block_of(const IpAddress& inside) {
  const std::uint32_t count = kDynamicPorts / config_.block_ports;
  const auto number = static_cast<std::uint32_t>(blocks_.size()) % count;
  const auto first = static_cast<std::uint16_t>(kFirstDynamicPort + number * config_.block_ports);
  return blocks_.emplace(inside, first).first->second;
}

std::optional<SocketAddress> Nat::allocate(Instant now, Rng& rng, const SocketAddress& inside,
                                           bool preserves) {
  const IpAddress ip = address_for(rng, inside.ip);
  // A NAT that preserves ports hands out others once it has forgotten who had which:
  // otherwise forget_mappings() would rebind nobody.
  if (config_.ports == PortAllocation::preserving && preserves && !has_forgotten_ &&
      !is_live(now, {ip, inside.port})) {
    return SocketAddress{ip, inside.port};
  }
  if (config_.ports == PortAllocation::block) {
    const std::uint16_t first = block_of(inside.ip);
    const auto begin = static_cast<std::uint32_t>(rng.below(config_.block_ports));
    for (std::uint32_t i = 0; i < config_.block_ports; ++i) {
      const std::uint32_t port = first + (begin + i) % config_.block_ports;
      const SocketAddress outside{ip, static_cast<std::uint16_t>(port)};
      if (!is_live(now, outside)) return outside;
    }
    return std::nullopt;
  }
  for (std::uint32_t tries = 0; tries < 2 * kDynamicPorts; ++tries) {
    const std::uint16_t port =
        config_.ports == PortAllocation::random
            ? static_cast<std::uint16_t>(kFirstDynamicPort + rng.below(kDynamicPorts))
            : next_port_++;
    if (next_port_ < kFirstDynamicPort) next_port_ = kFirstDynamicPort;
    if (port >= kFirstDynamicPort && !is_live(now, {ip, port})) return SocketAddress{ip, port};
  }
  return std::nullopt;
}

std::optional<SocketAddress> Nat::translate_outbound(Instant now, Rng& rng,
                                                     const SocketAddress& from,
                                                     const SocketAddress& to) {
  const Key key = key_for(now, from, to);
  auto found = outside_by_key_.find(key);
  if (found != outside_by_key_.end() && !is_live(now, found->second)) {
    mapping_by_outside_.erase(found->second);
    outside_by_key_.erase(found);
    found = outside_by_key_.end();
  }
  if (found == outside_by_key_.end()) {
    const bool may_preserve =
        !config_.is_taken_by_strangers || !is_taken(now, {config_.public_ip, from.port}, to);
    const auto outside = allocate(now, rng, from, may_preserve);
    if (!outside) return std::nullopt;
    if (const auto stale = mapping_by_outside_.find(*outside); stale != mapping_by_outside_.end()) {
      outside_by_key_.erase(stale->second.key);
      mapping_by_outside_.erase(stale);
    }
    found = outside_by_key_.emplace(key, *outside).first;
    mapping_by_outside_.emplace(*outside, Mapping{key, now, {}});
  }
  Mapping& mapping = mapping_by_outside_.at(found->second);
  mapping.last_used = now;
  mapping.peers.insert(to);
  return found->second;
}

bool Nat::is_admitted(const Mapping& mapping, const SocketAddress& from) const {
  return std::ranges::any_of(mapping.peers, [&](const SocketAddress& peer) {
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
}

std::optional<SocketAddress> Nat::translate_inbound(Instant now, const SocketAddress& from,
                                                    const SocketAddress& to) {
  if (is_live(now, to)) {
    Mapping& mapping = mapping_by_outside_.at(to);
    if (is_admitted(mapping, from)) {
      if (config_.is_refreshed_inbound) mapping.last_used = now;
      return mapping.key.inside;
    }
  }
  if (config_.is_taken_by_strangers) strangers_[{to, from}] = now;
  return std::nullopt;
}

std::optional<Nat::Hairpinned> Nat::hairpin(Instant now, Rng& rng, const SocketAddress& from,
                                            const SocketAddress& to) {
  if (config_.hairpinning == Hairpinning::none) return std::nullopt;
  const auto outside = translate_outbound(now, rng, from, to);
  if (!outside) return std::nullopt;
  const auto inside = translate_inbound(now, *outside, to);
  if (!inside) return std::nullopt;
  return Hairpinned{.from = config_.hairpinning == Hairpinning::external_source ? *outside : from,
                    .to = *inside};
}

std::optional<SocketAddress> Nat::inside_of(Instant now, const SocketAddress& to) const {
  if (!is_live(now, to)) return std::nullopt;
  return mapping_by_outside_.at(to).key.inside;
}

SocketAddress Nat::open_stream(const SocketAddress& from) {
  if (const auto known = stream_outside(from)) return *known;
  SocketAddress outside{config_.public_ip, from.port};
  while (stream_inside_.contains(outside)) outside.port = next_stream_port_++;
  stream_outside_.emplace(from, outside);
  stream_inside_.emplace(outside, from);
  return outside;
}

std::optional<SocketAddress> Nat::stream_outside(const SocketAddress& from) const {
  const auto found = stream_outside_.find(from);
  return found == stream_outside_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<SocketAddress> Nat::stream_inside(const SocketAddress& to) const {
  const auto found = stream_inside_.find(to);
  return found == stream_inside_.end() ? std::nullopt : std::optional(found->second);
}

void Nat::forget_mappings() {
  outside_by_key_.clear();
  mapping_by_outside_.clear();
  paired_.clear();
  blocks_.clear();
  strangers_.clear();
  stream_outside_.clear();
  stream_inside_.clear();
  has_forgotten_ = true;
}

std::size_t Nat::mapping_count(Instant now) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      mapping_by_outside_, [&](const auto& entry) { return is_live(now, entry.first); }));
}

}  // namespace culvert::sim
