#include "sim/router.h"

#include "base/assert.h"

#include <algorithm>

namespace culvert::sim {
namespace {

Cidr cidr_of(std::string_view text) {
  const auto parsed = Cidr::parse(text);
  CULVERT_ASSERT(parsed.has_value());
  return *parsed;
}

}  // namespace

Router::Router(RouterConfig config, const SeededRng& rng)
    : config_(std::move(config)), own_rng_(rng), rng_(&own_rng_) {
  if (config_.nat) nat_.emplace(*config_.nat);
  if (config_.firewall) firewall_.emplace(*config_.firewall);
}

Router::Port& Router::add_port(Router& peer, const std::optional<LinkConfig>& link) {
  auto port = std::make_unique<Port>();
  port->peer = &peer;
  if (link) port->link.emplace(*link);
  ports_.push_back(std::move(port));
  return *ports_.back();
}

void Router::add_route(std::string_view prefix, Port& port) {
  remove_route(prefix);
  routes_.push_back({.network = cidr_of(prefix), .port = &port});
}

void Router::remove_route(std::string_view prefix) {
  const Cidr network = cidr_of(prefix);
  std::erase_if(routes_, [&](const Route& route) { return route.network == network; });
}

Router::Port* Router::route_to(const IpAddress& ip) const {
  const Route* best = nullptr;
  for (const Route& route : routes_) {
    if (!route.network.contains(ip)) continue;
    if (best == nullptr || route.network.prefix_length() > best->network.prefix_length()) {
      best = &route;
    }
  }
  return best == nullptr ? nullptr : best->port;
}

bool Router::let_in(Instant now, Packet& packet) {
  if (translates(packet.to.ip)) {
    // What is not for one of its addresses finds no way in by itself: inside addresses mean nothing
    // outside.
    std::optional<SocketAddress> inside;
    if (packet.icmp) {
      inside = nat_->inside_of(now, packet.to);
    } else if (nat_->owns(packet.to.ip)) {
      inside = nat_->translate_inbound(now, packet.from, packet.to);
    }
    if (!inside) {
      ++stats_.filtered;
      return false;
    }
    packet.to = *inside;
  }
  if (firewall_ &&
      !firewall_->lets_in(now, packet.icmp ? packet.icmp->about : packet.from, packet.to)) {
    ++stats_.blocked;
    return false;
  }
  return true;
}

bool Router::let_out(Instant now, Packet& packet) {
  if (firewall_ && !packet.icmp && !firewall_->lets_out(now, packet.from, packet.to)) {
    ++stats_.blocked;
    return false;
  }
  if (!translates(packet.from.ip)) return true;
  const auto outside = nat_->translate_outbound(now, *rng_, packet.from, packet.to);
  if (!outside) {
    ++stats_.filtered;
    return false;
  }
  packet.from = *outside;
  return true;
}

bool Router::turn_back(Instant now, Packet& packet) {
  const auto turned = nat_->hairpin(now, *rng_, packet.from, packet.to);
  if (!turned) {
    ++stats_.filtered;
    return false;
  }
  ++stats_.hairpinned;
  packet.from = turned->from;
  packet.to = turned->to;
  return true;
}

}  // namespace culvert::sim
