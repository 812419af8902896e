// What the routing table and the interfaces say: our address towards a peer, all our
// addresses, and when they change.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "net/interfaces.h"
#include "ports/ports.h"

#include <memory>
#include <vector>

namespace culvert::net {

// The local address the kernel would send from towards `remote`. Sends nothing.
[[nodiscard]] Result<IpAddress> local_address_towards(const IpAddress& remote);

// Addresses of interfaces that are up, global ones first (IPv4 before IPv6), loopback
// last; no link-local ones, which mean nothing elsewhere.
[[nodiscard]] std::vector<LocalAddress> local_addresses(const InterfaceRules& rules = {});

}  // namespace culvert::net
