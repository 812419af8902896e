// Machines, routers and the links between them. A machine hangs by an uplink and a downlink on a
// router: the core, which routes to every machine on it at once, unless it is attached elsewhere.
// Other routers are joined by links of their own, or stand without one where they are joined to.
#pragma once

#include "base/rng.h"
#include "ports/ports.h"
#include "sim/link.h"
#include "sim/router.h"
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
  // Its first links lead to this router instead of the core.
  void attach(Router& router) { router_ = &router; }

  // Another address with links of its own: packets from and to it take those.
  struct Interface {
    IpAddress ip;
    Link up;
    Link down;
    Router* router;  // where both lead to
  };
  // At the core unless a router is named.
  Interface& add_interface(const IpAddress& ip, LinkConfig up, LinkConfig down,
                           Router* router = nullptr);

  // How the kernel's interfaces are classed; `any` unless told.
  void set_use(const IpAddress& ip, AddressUse use) { uses_[ip] = use; }
  [[nodiscard]] AddressUse use_of(const IpAddress& ip) const {
    const auto found = uses_.find(ip);
    return found == uses_.end() ? AddressUse::any : found->second;
  }

  // Replaces the addresses, as a laptop changing networks does; sockets bound to a
  // wildcard stay usable, and everyone watching is told.
  void set_addresses(std::vector<IpAddress> addresses);
  // Answers datagrams to ports that nobody has bound by ICMP port unreachable, as machines
  // without a firewall do. Its errors are not lost, and find nobody behind a NAT.
  void set_refuses_closed_ports(bool does) { refuses_closed_ports_ = does; }
  // What routers said of its packets (RouterConfig::sends_icmp).
  [[nodiscard]] const std::vector<IcmpError>& icmp_errors() const { return icmp_errors_; }
  // Sees each datagram that it sends, and each that it gets. For oracles.
  using Watch = std::function<void(Instant now, const Packet& packet, bool is_sent)>;
  void set_watch(Watch watch) { watch_ = std::move(watch); }
  [[nodiscard]] Rng& rng() { return rng_; }

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
  [[nodiscard]] Interface* interface_of(const IpAddress& ip);
  [[nodiscard]] Link& up_link(const IpAddress& from);
  [[nodiscard]] Link& down_link(const IpAddress& to);
  [[nodiscard]] Router& router_of(const IpAddress& ip);

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
  Router* router_;
  bool refuses_closed_ports_ = false;
  std::vector<IcmpError> icmp_errors_;
  Watch watch_;
  SeededRng rng_;
  std::multimap<std::uint16_t, Binding> udp_;
  std::map<StreamAddress, SimListener*> listeners_;
  std::vector<std::function<void(Instant)>> watchers_;
  std::uint16_t next_port_ = 40'000;
};

struct NetworkStats {
  std::uint64_t packets = 0;  // that crossed the core
};

// The way of a stream's bytes in one direction, as it is now.
struct StreamPath {
  std::vector<Link*> links;
  Machine* machine = nullptr;  // at its end
  SocketAddress source;        // as that one sees it
  SocketAddress target;        // as that one calls itself
  [[nodiscard]] Duration delay() const;
  [[nodiscard]] bool is_down() const;
  // A link has a rate or loses some: more than a delay is seen of it.
  [[nodiscard]] bool is_shaped() const;
};
// Opening, it passes no firewall from outside, and NATs note it; later they must have done so.
enum class StreamStage : std::uint8_t { opening, established };

class Network {
 public:
  explicit Network(World& world);

  Machine& add_machine(std::string name, std::vector<IpAddress> addresses, LinkConfig up = {},
                       LinkConfig down = {});
  [[nodiscard]] Router& core() { return *core_; }
  Router& add_router(RouterConfig config);
  // Both ends of a new link. Without LinkConfigs: none, packets are on the other side at once.
  struct Joint {
    Router::Port& first;
    Router::Port& second;
  };
  Joint join(Router& first, Router& second, const std::optional<LinkConfig>& there = {},
             const std::optional<LinkConfig>& back = {});
  // Joins them so that all that `inner` has no route for goes to `outer`, past the NAT and the
  // firewall of `inner`, and `outer` sends there what is for the NAT's addresses or for `prefixes`.
  Joint put_behind(Router& inner, Router& outer, const std::vector<std::string>& prefixes = {},
                   const std::optional<LinkConfig>& out = {},
                   const std::optional<LinkConfig>& in = {});

  [[nodiscard]] World& world() { return world_; }
  [[nodiscard]] const NetworkStats& stats() const { return stats_; }
  // Behind different NATs several may have an address: any of them.
  [[nodiscard]] Machine* machine_at(const IpAddress& ip);
  // Nothing: nobody can be reached there from here.
  [[nodiscard]] std::optional<StreamPath> stream_path(Machine& from, const SocketAddress& source,
                                                      const SocketAddress& target,
                                                      StreamStage stage);

  // What a name means to SimHost::resolve.
  std::map<std::string, std::vector<IpAddress>> names;
  std::map<std::string, Error> name_failures;  // other than that a name is not known
  // Sees every packet as it enters the core (after NAT); may change it, or drop it by
  // returning false. For adversaries on the path.
  std::function<bool(Instant now, Packet& packet)> tap;
  // Sees whom each program of a machine dials: streams to other machines and within it, and sockets
  // that are for one peer only. For oracles.
  enum class DialKind : std::uint8_t { stream, datagrams };
  std::function<void(const Machine& from, const StreamAddress& to, DialKind kind)> on_dial;
  // Puts a packet into the core as if someone had sent it: forged sources, replays.
  void inject(Packet packet) { forward(world_.now(), *core_, std::move(packet), nullptr); }
  // An ICMP error reaches the machine that has the address `sender`, as if it had sent there.
  void inject_refusal(const SocketAddress& sender, const UdpRefusal& refusal);

 private:
  friend class Machine;
  // Where a link ends: at a machine, or at a router's port (null: one for machines).
  struct End {
    Machine* machine = nullptr;
    Router* router = nullptr;
    const Router::Port* port = nullptr;
  };
  void enter_uplink(Machine& machine, Packet packet);
  void pump(Link& link, End end);
  void forward(Instant now, Router& router, Packet packet, const Router::Port* in);
  void leave(Instant now, Router& router, Router::Port& port, Packet packet);
  void report(Instant now, Router& router, const Packet& packet, IcmpError::Kind kind,
              std::size_t mtu = 0);
  // Who is attached to that router with that address.
  [[nodiscard]] Machine* attached(const Router& router, const IpAddress& ip);

  World& world_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<std::unique_ptr<Router>> routers_;
  Router* core_;
  NetworkStats stats_;
};

}  // namespace culvert::sim
