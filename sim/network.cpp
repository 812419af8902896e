#include "sim/network.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace culvert::sim {
namespace {

std::uint64_t flow_hash(const Packet& packet) {
  const std::hash<SocketAddress> hash;
  return hash(packet.from) * 31 + hash(packet.to);
}

}  // namespace

Machine::Machine(Network& network, std::string name, std::vector<IpAddress> addresses,
                 LinkConfig up, LinkConfig down)
    : network_(network),
      name_(std::move(name)),
      addresses_(std::move(addresses)),
      up_(up),
      down_(down),
      router_(&network.core()),
      rng_(network.world().rng_for("machine " + name_)) {}

bool Machine::has_address(const IpAddress& ip) const {
  return std::ranges::find(addresses_, ip) != addresses_.end();
}

std::optional<IpAddress> Machine::address_of(Family family) const {
  for (const IpAddress& ip : addresses_) {
    if (ip.family() == family) return ip;
  }
  return std::nullopt;
}

Machine::Interface& Machine::add_interface(const IpAddress& ip, LinkConfig up, LinkConfig down,
                                           Router* router) {
  interfaces_.push_back(std::make_unique<Interface>(
      Interface{.ip = ip,
                .up = Link(up),
                .down = Link(down),
                .router = router == nullptr ? &network_.core() : router}));
  std::vector<IpAddress> addresses = addresses_;
  addresses.push_back(ip);
  set_addresses(std::move(addresses));
  return *interfaces_.back();
}

Machine::Interface* Machine::interface_of(const IpAddress& ip) {
  for (const auto& interface : interfaces_) {
    if (interface->ip == ip) return interface.get();
  }
  return nullptr;
}

Link& Machine::up_link(const IpAddress& from) {
  Interface* interface = interface_of(from);
  return interface == nullptr ? up_ : interface->up;
}

Link& Machine::down_link(const IpAddress& to) {
  Interface* interface = interface_of(to);
  return interface == nullptr ? down_ : interface->down;
}

Router& Machine::router_of(const IpAddress& ip) {
  Interface* interface = interface_of(ip);
  return interface == nullptr ? *router_ : *interface->router;
}

void Machine::set_addresses(std::vector<IpAddress> addresses) {
  addresses_ = std::move(addresses);
  network_.world().after(Duration::zero(), [this](Instant now) {
    for (auto& watcher : watchers_) watcher(now);
  });
}

std::uint16_t Machine::ephemeral_port() {
  const std::uint16_t port = next_port_++;
  if (next_port_ < 40'000) next_port_ = 40'000;
  return port;
}

Result<std::uint16_t> Machine::bind_udp(const SocketAddress& bind, bool is_shared,
                                        PacketSink& sink) {
  std::uint16_t port = bind.port;
  if (port == 0) {
    do port = ephemeral_port();
    while (udp_.contains(port));
  } else if (!is_shared) {
    const auto [first, last] = udp_.equal_range(port);
    for (auto it = first; it != last; ++it) {
      if (it->second.ip == bind.ip || it->second.ip.is_unspecified() || bind.ip.is_unspecified()) {
        return fail(ErrorKind::io, "address already in use", bind.text());
      }
    }
  }
  udp_.emplace(port, Binding{bind.ip, &sink});
  return port;
}

void Machine::unbind_udp(std::uint16_t port, PacketSink& sink) {
  const auto [first, last] = udp_.equal_range(port);
  for (auto it = first; it != last; ++it) {
    if (it->second.sink == &sink) {
      udp_.erase(it);
      return;
    }
  }
}

void Machine::send(Packet packet) {
  if (packet.to.ip.is_loopback()) {
    if (packet.from.ip.is_unspecified()) packet.from.ip = packet.to.ip;
    network_.world().after(Duration(1'000),
                           [this, packet = std::move(packet)](Instant now) mutable {
                             deliver(now, std::move(packet));
                           });
    return;
  }
  if (packet.from.ip.is_unspecified()) {
    const auto primary = address_of(packet.to.ip.family());
    if (!primary) return;  // no route
    packet.from.ip = *primary;
  } else if (!has_address(packet.from.ip)) {
    return;  // the kernel refuses a source address that the machine no longer has
  }
  packet.sent_at = network_.world().now();
  if (watch_) watch_(packet.sent_at, packet, true);
  network_.enter_uplink(*this, std::move(packet));
}

std::vector<PacketSink*> Machine::sinks_at(const SocketAddress& to) const {
  const auto [first, last] = udp_.equal_range(to.port);
  std::vector<PacketSink*> sinks;
  for (auto it = first; it != last; ++it) {
    if (it->second.ip.is_unspecified() || it->second.ip == to.ip) sinks.push_back(it->second.sink);
  }
  return sinks;
}

void Machine::refuse(const Packet& packet) {
  if (!refuses_closed_ports_) return;
  const ByteView quote =
      ByteView(packet.payload).first(std::min(packet.payload.size(), UdpRefusal::kMaxQuoteBytes));
  UdpRefusal refusal{.remote = packet.to, .quote = Bytes(quote.begin(), quote.end())};
  network_.world().after(up_link(packet.to.ip).config().delay,
                         [this, refusal = std::move(refusal), sender = packet.from](Instant now) {
                           if (!sender.ip.is_loopback()) {
                             network_.inject_refusal(sender, refusal);
                             return;
                           }
                           for (PacketSink* sink : sinks_at(sender)) sink->on_refused(now, refusal);
                         });
}

void Machine::deliver(Instant now, Packet packet) {
  if (packet.icmp) {
    icmp_errors_.push_back(*packet.icmp);
    return;
  }
  if (watch_) watch_(now, packet, false);
  const std::vector<PacketSink*> candidates = sinks_at(packet.to);
  if (candidates.empty()) {
    refuse(packet);
    return;
  }
  candidates[flow_hash(packet) % candidates.size()]->deliver(now, std::move(packet));
}

Duration StreamPath::delay() const {
  Duration sum{};
  for (const Link* link : links) sum += link->config().delay;
  return sum;
}

bool StreamPath::is_down() const {
  return std::ranges::any_of(links, [](const Link* link) { return link->config().is_down; });
}

bool StreamPath::is_shaped() const {
  return std::ranges::any_of(links, [](const Link* link) {
    const LinkConfig& config = link->config();
    return config.bits_per_second > 0 || config.loss > 0 || config.burst_start > 0;
  });
}

Network::Network(World& world) : world_(world), core_(&add_router({.name = "core"})) {}

Machine& Network::add_machine(std::string name, std::vector<IpAddress> addresses, LinkConfig up,
                              LinkConfig down) {
  machines_.push_back(
      std::make_unique<Machine>(*this, std::move(name), std::move(addresses), up, down));
  return *machines_.back();
}

Router& Network::add_router(RouterConfig config) {
  const SeededRng rng = world_.rng_for("router " + config.name);
  routers_.push_back(std::make_unique<Router>(std::move(config), rng));
  return *routers_.back();
}

Network::Joint Network::join(Router& first, Router& second, const std::optional<LinkConfig>& there,
                             const std::optional<LinkConfig>& back) {
  Router::Port& out = first.add_port(second, there);
  Router::Port& in = second.add_port(first, back);
  out.peer_port = &in;
  in.peer_port = &out;
  return {.first = out, .second = in};
}

Network::Joint Network::put_behind(Router& inner, Router& outer,
                                   const std::vector<std::string>& prefixes,
                                   const std::optional<LinkConfig>& out,
                                   const std::optional<LinkConfig>& in) {
  const Joint joint = join(inner, outer, out, in);
  inner.add_route("0.0.0.0/0", joint.first);
  inner.add_route("::/0", joint.first);
  inner.set_outside(joint.first);
  if (inner.nat() != nullptr) {
    for (const IpAddress& ip : inner.nat()->public_ips()) outer.add_route(ip.text(), joint.second);
  }
  for (const std::string& prefix : prefixes) outer.add_route(prefix, joint.second);
  return joint;
}

Machine* Network::machine_at(const IpAddress& ip) {
  for (const auto& machine : machines_) {
    if (machine->has_address(ip)) return machine.get();
  }
  return nullptr;
}

void Network::inject_refusal(const SocketAddress& sender, const UdpRefusal& refusal) {
  const Machine* machine = machine_at(sender.ip);
  if (machine == nullptr) return;
  for (PacketSink* sink : machine->sinks_at(sender)) sink->on_refused(world_.now(), refusal);
}

Machine* Network::attached(const Router& router, const IpAddress& ip) {
  for (const auto& machine : machines_) {
    if (machine->has_address(ip) && &machine->router_of(ip) == &router) return machine.get();
  }
  return nullptr;
}

void Network::enter_uplink(Machine& machine, Packet packet) {
  const IpAddress from = packet.from.ip;
  Link& link = machine.up_link(from);
  link.handle_packet(world_.now(), machine.rng_, std::move(packet));
  pump(link, {.router = &machine.router_of(from)});
}

// Each accepted packet schedules one visit at the link's next delivery; a visit takes
// what is due, so visits never outnumber packets.
void Network::pump(Link& link, End end) {
  const Instant due = link.next_delivery();
  if (due == kNever) return;
  world_.at(due, [this, &link, end](Instant now) {
    bool has_delivered = false;
    while (auto packet = link.poll(now)) {
      has_delivered = true;
      if (end.machine != nullptr) {
        end.machine->deliver(now, std::move(*packet));
      } else {
        forward(now, *end.router, std::move(*packet), end.port);
      }
    }
    if (has_delivered) pump(link, end);
  });
}

void Network::report(Instant now, Router& router, const Packet& packet, IcmpError::Kind kind,
                     std::size_t mtu) {
  if (!router.config().sends_icmp || packet.icmp) return;
  forward(now, router,
          {.from = {router.config().address, 0},
           .to = packet.from,
           .payload = {},
           .icmp = IcmpError{.kind = kind, .about = packet.to, .mtu = mtu}},
          nullptr);
}

void Network::forward(Instant now, Router& router, Packet packet, const Router::Port* in) {
  if (&router == core_) {
    ++stats_.packets;
    if (tap && !tap(now, packet)) return;
    const std::hash<SocketAddress> hash;
    world_.trace(hash(packet.from), hash(packet.to), packet.payload.size());
  }
  if (packet.ttl <= 1) {
    ++router.stats_.expired;
    report(now, router, packet, IcmpError::Kind::time_exceeded);
    return;
  }
  --packet.ttl;

  const bool is_from_outside = router.is_outside(in);
  if (is_from_outside) {
    if (!router.let_in(now, packet)) return;
  } else if (router.is_for_nat(packet.to.ip)) {
    if (!router.turn_back(now, packet)) return;
  }
  if (Machine* machine = attached(router, packet.to.ip)) {
    ++router.stats_.forwarded;
    Link& link = machine->down_link(packet.to.ip);
    link.handle_packet(now, machine->rng_, std::move(packet));
    pump(link, {.machine = machine});
    return;
  }
  Router::Port* out = router.route_to(packet.to.ip);
  // Outside is no way to somebody inside who is not there.
  if (out == nullptr || (is_from_outside && router.is_outside(out))) {
    ++router.stats_.unroutable;
    return;
  }
  if (out->link) {
    const LinkConfig& link = out->link->config();
    if (packet.payload.size() + link.header_bytes > link.mtu) {
      report(now, router, packet, IcmpError::Kind::too_big, link.mtu);
    }
  }
  if (router.is_outside(out) && !is_from_outside && !router.let_out(now, packet)) return;
  ++router.stats_.forwarded;
  leave(now, router, *out, std::move(packet));
}

void Network::leave(Instant now, Router& router, Router::Port& port, Packet packet) {
  if (!port.link) {
    forward(now, *port.peer, std::move(packet), port.peer_port);
    return;
  }
  const std::hash<SocketAddress> hash;
  world_.trace(hash(packet.from), hash(packet.to), packet.payload.size());
  Link& link = *port.link;
  link.handle_packet(now, *router.rng_, std::move(packet));
  pump(link, {.router = port.peer, .port = port.peer_port});
}

std::optional<StreamPath> Network::stream_path(Machine& from, const SocketAddress& source,
                                               const SocketAddress& target, StreamStage stage) {
  if (!from.has_address(source.ip)) return std::nullopt;
  StreamPath path{.links = {&from.up_link(source.ip)}, .source = source, .target = target};
  Router* router = &from.router_of(source.ip);
  const Router::Port* in = nullptr;
  for (unsigned hops = 1; hops < kFirstTtl; ++hops) {
    const bool is_from_outside = router->is_outside(in);
    if (is_from_outside && router->translates(path.target.ip)) {
      const auto inside = router->nat_->stream_inside(path.target);
      if (!inside) return std::nullopt;
      path.target = *inside;
    }
    if (is_from_outside && router->firewall_ && stage == StreamStage::opening &&
        !router->firewall_->lets_stream_in(path.target)) {
      return std::nullopt;
    }
    if (Machine* machine = attached(*router, path.target.ip)) {
      path.links.push_back(&machine->down_link(path.target.ip));
      path.machine = machine;
      return path;
    }
    Router::Port* out = router->route_to(path.target.ip);
    if (out == nullptr || (is_from_outside && router->is_outside(out))) return std::nullopt;
    if (router->is_outside(out) && !is_from_outside && router->translates(path.source.ip)) {
      const auto outside = stage == StreamStage::opening
                               ? std::optional(router->nat_->open_stream(path.source))
                               : router->nat_->stream_outside(path.source);
      if (!outside) return std::nullopt;
      path.source = *outside;
    }
    if (out->link) path.links.push_back(&*out->link);
    in = out->peer_port;
    router = out->peer;
  }
  return std::nullopt;
}

}  // namespace culvert::sim
