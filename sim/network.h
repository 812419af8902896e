// Machines, the links between them and the routers in front of them. Every machine hangs
// by one uplink and one downlink on a core that routes by address at once; delay, rate
// and loss are properties of those links.
#pragma once

#include "base/rng.h"
#include "ports/ports.h"
#include "sim/link.h"
#include "sim/nat.h"
#include "sim/world.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace culvert::sim {

class Network;
class SimListener;

// Receives the packets for a bound UDP port.
class PacketSink {
 public:
  virtual ~PacketSink() = default;
  virtual void deliver(Instant now, Packet packet) = 0;
  virtual void on_refused(Instant now, const UdpRefusal& refusal) = 0;
};

// A computer: addresses, ports, and what listens on them. Owned by the Network.
class Machine {
 public:
  Machine(Network& network, std::string name, std::vector<IpAddress> addresses, LinkConfig up,
          LinkConfig down);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::vector<IpAddress>& addresses() const { return addresses_; }
  [[nodiscard]] bool has_address(const IpAddress& ip) const;
  [[nodiscard]] std::optional<IpAddress> address_of(Family family) const;
  [[nodiscard]] LinkConfig& uplink() { return up_.config(); }
  [[nodiscard]] LinkConfig& downlink() { return down_.config(); }
  [[nodiscard]] const LinkStats& uplink_stats() const { return up_.stats(); }
  [[nodiscard]] const LinkStats& downlink_stats() const { return down_.stats(); }

  [[nodiscard]] const LinkConfig& uplink_of(const IpAddress& from) {
    return up_link(from).config();
  }
  [[nodiscard]] const LinkConfig& downlink_of(const IpAddress& to) {
    return down_link(to).config();
  }

  // Another address with links of its own: packets from and to it take those.
  struct Interface {
    IpAddress ip;
    Link up;
    Link down;
  };
  Interface& add_interface(const IpAddress& ip, LinkConfig up, LinkConfig down);

  // How the kernel's interfaces are classed; `any` unless told.
  void set_use(const IpAddress& ip, AddressUse use) { uses_[ip] = use; }
  [[nodiscard]] AddressUse use_of(const IpAddress& ip) const {
    const auto found = uses_.find(ip);
    return found == uses_.end() ? AddressUse::any : found->second;
  }

  // Replaces the addresses, as a laptop changing networks does; sockets bound to a
  // wildcard stay usable, and everyone watching is told.
  void set_addresses(std::vector<IpAddress> addresses);
  void set_nat(Nat* nat) { nat_ = nat; }  // borrowed; nullptr = none
  // Answers datagrams to ports that nobody has bound by ICMP port unreachable, as machines
  // without a firewall do. Its errors are not lost, and find nobody behind a NAT.
  void set_refuses_closed_ports(bool does) { refuses_closed_ports_ = does; }

  // --- for SimHost -------------------------------------------------------------------
  // Port 0 picks a free one. Several sinks may share a port (SO_REUSEPORT): a datagram
  // goes to one of them by a hash of its addresses.
  [[nodiscard]] Result<std::uint16_t> bind_udp(const SocketAddress& bind, bool is_shared,
                                               PacketSink& sink);
  void unbind_udp(std::uint16_t port, PacketSink& sink);
  void send(Packet packet);  // `from.ip` unspecified: the primary address
  void deliver(Instant now, Packet packet);
  void watch_addresses(std::function<void(Instant)> on_change) {
    watchers_.push_back(std::move(on_change));
  }
  [[nodiscard]] Network& network() { return network_; }
  [[nodiscard]] std::map<StreamAddress, SimListener*>& listeners() { return listeners_; }
  [[nodiscard]] std::uint16_t ephemeral_port();

 private:
  friend class Network;
  void refuse(const Packet& packet);
  [[nodiscard]] std::vector<PacketSink*> sinks_at(const SocketAddress& to) const;
  [[nodiscard]] Link& up_link(const IpAddress& from);
  [[nodiscard]] Link& down_link(const IpAddress& to);

  struct Binding {
    IpAddress ip;  // unspecified = all
    PacketSink* sink;
  };

  Network& network_;
  std::string name_;
  std::vector<IpAddress> addresses_;
  std::map<IpAddress, AddressUse> uses_;
  Link up_;
  Link down_;
  std::vector<std::unique_ptr<Interface>> interfaces_;
  Nat* nat_ = nullptr;
  bool refuses_closed_ports_ = false;
  SeededRng rng_;
  std::multimap<std::uint16_t, Binding> udp_;
  std::map<StreamAddress, SimListener*> listeners_;
  std::vector<std::function<void(Instant)>> watchers_;
  std::uint16_t next_port_ = 40'000;
};

struct NetworkStats {
  std::uint64_t packets = 0;
  std::uint64_t unroutable = 0;
  std::uint64_t filtered_by_nat = 0;
};

class Network {
 public:
  explicit Network(World& world) : world_(world) {}

  Machine& add_machine(std::string name, std::vector<IpAddress> addresses, LinkConfig up = {},
                       LinkConfig down = {});
  // Puts the machines' traffic behind a NAT with a public address.
  Nat& add_nat(NatConfig config);

  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] const NetworkStats& stats() const { return stats_; }
  [[nodiscard]] Machine* machine_at(const IpAddress& ip);

  // What a name means to SimHost::resolve.
  std::map<std::string, std::vector<IpAddress>> names;
  std::map<std::string, Error> name_failures;  // other than that a name is not known
  // Sees every packet as it enters the core (after NAT); may change it, or drop it by
  // returning false. For oracles and for adversaries on the path.
  std::function<bool(Instant now, Packet& packet)> tap;
  // Puts a packet into the core as if someone had sent it: forged sources, replays.
  void inject(Packet packet) { route(world_.now(), std::move(packet)); }
  // An ICMP error reaches the machine that has the address `sender`, as if it had sent there.
  void inject_refusal(const SocketAddress& sender, const UdpRefusal& refusal);

 private:
  friend class Machine;
  void enter_uplink(Machine& machine, Packet packet);
  void pump(Machine& machine, Link& link, bool is_uplink);
  void route(Instant now, Packet packet);

  World& world_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::map<IpAddress, std::unique_ptr<Nat>> nats_;
  NetworkStats stats_;
};

}  // namespace culvert::sim
