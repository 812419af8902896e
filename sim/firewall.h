// A packet filter without translation: what may leave, and what may come in. Sans-I/O. In comes
// what answers something that went out, what is for a port that is open, and nothing else.
#pragma once

#include "base/address.h"
#include "base/time.h"

#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace culvert::sim {

enum class PinholeScope : std::uint8_t {  // who may answer
  address_and_port,                       // whom it was sent to
  address,                                // any port of that address
};
enum class UdpEgress : std::uint8_t { all, listed_ports, none };

struct FirewallConfig {
  PinholeScope pinhole = PinholeScope::address_and_port;
  Duration pinhole_timeout = std::chrono::seconds(120);  // refreshed by either direction
  std::set<std::uint16_t> open_ports{};                  // of inside, to everyone, UDP and TCP
  UdpEgress udp_egress = UdpEgress::all;
  std::set<std::uint16_t> egress_ports{53, 443};  // of outside, with UdpEgress::listed_ports
};

class Firewall {
 public:
  explicit Firewall(FirewallConfig config) : config_(std::move(config)) {}

  [[nodiscard]] FirewallConfig& config() { return config_; }
  [[nodiscard]] bool lets_out(Instant now, const SocketAddress& inside, const SocketAddress& peer);
  [[nodiscard]] bool lets_in(Instant now, const SocketAddress& peer, const SocketAddress& inside);
  // A TCP connection that begins outside.
  [[nodiscard]] bool lets_stream_in(const SocketAddress& inside) const {
    return config_.open_ports.contains(inside.port);
  }
  void forget_pinholes() { pinholes_.clear(); }

 private:
  using Pinhole = std::pair<SocketAddress, SocketAddress>;  // inside, peer
  [[nodiscard]] Pinhole pinhole_for(const SocketAddress& inside, const SocketAddress& peer) const;

  FirewallConfig config_;
  std::map<Pinhole, Instant> pinholes_;  // when last used
};

}  // namespace culvert::sim
