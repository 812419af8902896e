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

Machine::Interface& Machine::add_interface(const IpAddress& ip, LinkConfig up, LinkConfig down) {
  interfaces_.push_back(
      std::make_unique<Interface>(Interface{.ip = ip, .up = Link(up), .down = Link(down)}));
  std::vector<IpAddress> addresses = addresses_;
  addresses.push_back(ip);
  set_addresses(std::move(addresses));
  return *interfaces_.back();
}

Link& Machine::up_link(const IpAddress& from) {
  for (const auto& interface : interfaces_) {
    if (interface->ip == from) return interface->up;
  }
  return up_;
}

Link& Machine::down_link(const IpAddress& to) {
  for (const auto& interface : interfaces_) {
    if (interface->ip == to) return interface->down;
  }
  return down_;
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
  const std::vector<PacketSink*> candidates = sinks_at(packet.to);
  if (candidates.empty()) {
    refuse(packet);
    return;
  }
  candidates[flow_hash(packet) % candidates.size()]->deliver(now, std::move(packet));
}

Machine& Network::add_machine(std::string name, std::vector<IpAddress> addresses, LinkConfig up,
                              LinkConfig down) {
  machines_.push_back(
      std::make_unique<Machine>(*this, std::move(name), std::move(addresses), up, down));
  return *machines_.back();
}

Nat& Network::add_nat(NatConfig config) {
  auto& slot = nats_[config.public_ip];
  slot = std::make_unique<Nat>(config);
  return *slot;
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

void Network::enter_uplink(Machine& machine, Packet packet) {
  Link& link = machine.up_link(packet.from.ip);
  link.handle_packet(world_.now(), machine.rng_, std::move(packet));
  pump(machine, link, true);
}

// Each accepted packet schedules one visit at the link's next delivery; a visit takes
// what is due, so visits never outnumber packets.
void Network::pump(Machine& machine, Link& link, bool is_uplink) {
  const Instant due = link.next_delivery();
  if (due == kNever) return;
  world_.at(due, [this, &machine, &link, is_uplink](Instant now) {
    bool has_delivered = false;
    while (auto packet = link.poll(now)) {
      has_delivered = true;
      if (!is_uplink) {
        machine.deliver(now, std::move(*packet));
        continue;
      }
      if (machine.nat_ != nullptr) {
        const auto outside =
            machine.nat_->translate_outbound(now, machine.rng_, packet->from, packet->to);
        if (!outside) {
          ++stats_.filtered_by_nat;
          continue;
        }
        packet->from = *outside;
      }
      route(now, std::move(*packet));
    }
    if (has_delivered) pump(machine, link, is_uplink);
  });
}

void Network::route(Instant now, Packet packet) {
  ++stats_.packets;
  if (tap && !tap(now, packet)) return;
  const std::hash<SocketAddress> hash;
  world_.trace(hash(packet.from), hash(packet.to), packet.payload.size());

  if (const auto nat = nats_.find(packet.to.ip); nat != nats_.end()) {
    const auto inside = nat->second->translate_inbound(now, packet.from, packet.to);
    if (!inside) {
      ++stats_.filtered_by_nat;
      return;
    }
    packet.to = *inside;
  }
  Machine* machine = machine_at(packet.to.ip);
  if (machine == nullptr) {
    ++stats_.unroutable;
    return;
  }
  Link& link = machine->down_link(packet.to.ip);
  link.handle_packet(now, machine->rng_, std::move(packet));
  pump(*machine, link, false);
}

}  // namespace culvert::sim
