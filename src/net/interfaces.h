// The network interfaces of this machine, and which of them may lead to other machines: an
// address of a VPN may be carried by our own tunnel, one of a bridge between containers is known
// to nobody else.
#pragma once

#include "base/address.h"
#include "base/bytes.h"
#include "ports/ports.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::net {

struct Interface {
  std::uint32_t index = 0;
  std::string name{};
  std::string kind{};        // "wireguard", "bridge", ...; empty: a device, or loopback
  std::uint32_t master = 0;  // the bridge or bond that it belongs to
};

// Of this machine, up or down; empty where netlink is not to be had.
[[nodiscard]] std::vector<Interface> interfaces();
// Those of RTM_NEWLINK messages (rtnetlink(7)); what cannot be read is left out.
[[nodiscard]] std::vector<Interface> parse_interfaces(ByteView messages);

// A tunnel of some kind. Not 6in4 (sit), which gives a network its IPv6 addresses.
[[nodiscard]] bool is_vpn(const Interface& interface);
// A bridge without a way out: all that belongs to it are containers and virtual machines.
[[nodiscard]] bool is_inner_bridge(const Interface& interface, const std::vector<Interface>& all);

// What the user says about interfaces (--exclude-interface).
struct InterfaceRules {
  std::vector<std::string> excluded{};  // names; '*' at the end stands for anything
  bool trusts_all = false;              // VPNs and bridges of containers are as good as others

  [[nodiscard]] bool excludes(std::string_view name) const;
};

// How an interface's address may be used. `has_default_route`: packets to anywhere leave from it,
// so that even a bridge of containers leads on (a container within a container).
[[nodiscard]] AddressUse use_of(const Interface& interface, const std::vector<Interface>& all,
                                const InterfaceRules& rules, bool has_default_route);

}  // namespace culvert::net
