// What stands between machines: routes by longest prefix, links to other routers, and, towards one
// of them, a NAT and a firewall. The Network moves packets through it.
#pragma once

#include "base/address.h"
#include "base/rng.h"
#include "sim/firewall.h"
#include "sim/link.h"
#include "sim/nat.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::sim {

struct RouterConfig {
  std::string name;
  IpAddress address{};      // its own: who sends its errors
  bool sends_icmp = false;  // otherwise what it cannot pass on vanishes
  std::optional<NatConfig> nat{};
  std::optional<FirewallConfig> firewall{};
};

struct RouterStats {
  std::uint64_t forwarded = 0;
  std::uint64_t expired = 0;  // its TTL was over
  std::uint64_t unroutable = 0;
  std::uint64_t filtered = 0;  // by the NAT, either way
  std::uint64_t blocked = 0;   // by the firewall, either way
  std::uint64_t hairpinned = 0;
};

class Router {
 public:
  // One end of a link to another router. Owned by its router.
  struct Port {
    Router* peer = nullptr;
    Port* peer_port = nullptr;   // what leaves here comes in there
    std::optional<Link> link{};  // what leaves here; none: both routers are one device
  };

  Router(RouterConfig config, const SeededRng& rng);
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  [[nodiscard]] const std::string& name() const { return config_.name; }
  [[nodiscard]] const RouterConfig& config() const { return config_; }
  [[nodiscard]] const RouterStats& stats() const { return stats_; }
  [[nodiscard]] Nat* nat() { return nat_ ? &*nat_ : nullptr; }
  [[nodiscard]] Firewall* firewall() { return firewall_ ? &*firewall_ : nullptr; }

  // `prefix` as Cidr::parse takes it. One that is there already is replaced: from now on packets go
  // the new way.
  void add_route(std::string_view prefix, Port& port);
  void remove_route(std::string_view prefix);
  // Of all networks that contain it the smallest; null: there is none.
  [[nodiscard]] Port* route_to(const IpAddress& ip) const;
  // NAT and firewall stand there.
  void set_outside(const Port& port) { outside_ = &port; }
  [[nodiscard]] bool is_outside(const Port* port) const {
    return port != nullptr && port == outside_;
  }
  // Draws from the same generator as a machine: they are one device.
  void draw_from(Rng& rng) { rng_ = &rng; }

 private:
  friend class Network;
  Port& add_port(Router& peer, const std::optional<LinkConfig>& link);
  // What passes between inside and outside, which they may change. False: it ends here.
  [[nodiscard]] bool let_in(Instant now, Packet& packet);
  [[nodiscard]] bool let_out(Instant now, Packet& packet);
  [[nodiscard]] bool turn_back(Instant now, Packet& packet);  // from inside to a NAT's own address
  [[nodiscard]] bool is_for_nat(const IpAddress& ip) const { return nat_ && nat_->owns(ip); }
  // Its NAT does, whose family that is.
  [[nodiscard]] bool translates(const IpAddress& ip) const {
    return nat_ && nat_->config().public_ip.family() == ip.family();
  }

  struct Route {
    Cidr network;
    Port* port;
  };

  RouterConfig config_;
  SeededRng own_rng_;
  Rng* rng_;
  std::optional<Nat> nat_;
  std::optional<Firewall> firewall_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::vector<Route> routes_;
  const Port* outside_ = nullptr;
  RouterStats stats_;
};

}  // namespace culvert::sim
