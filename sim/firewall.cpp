#include "sim/firewall.h"

namespace culvert::sim {

Firewall::Pinhole Firewall::pinhole_for(const SocketAddress& inside,
                                        const SocketAddress& peer) const {
  if (config_.pinhole == PinholeScope::address) return {inside, {peer.ip, 0}};
  return {inside, peer};
}

bool Firewall::lets_out(Instant now, const SocketAddress& inside, const SocketAddress& peer) {
  if (config_.open_ports.contains(inside.port)) return true;
  switch (config_.udp_egress) {
    case UdpEgress::none:
      return false;
    case UdpEgress::listed_ports:
      if (!config_.egress_ports.contains(peer.port)) return false;
      break;
    case UdpEgress::all:
      break;
  }
  pinholes_[pinhole_for(inside, peer)] = now;
  return true;
}

bool Firewall::lets_in(Instant now, const SocketAddress& peer, const SocketAddress& inside) {
  if (config_.open_ports.contains(inside.port)) return true;
  const auto found = pinholes_.find(pinhole_for(inside, peer));
  if (found == pinholes_.end()) return false;
  if (now - found->second > config_.pinhole_timeout) {
    pinholes_.erase(found);
    return false;
  }
  found->second = now;
  return true;
}

}  // namespace culvert::sim
