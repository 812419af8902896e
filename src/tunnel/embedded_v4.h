// IPv6 addresses that lead to an IPv4 address: to a gateway, or to this very kernel, they are
// another spelling of it, and what is said about it is said about them.
#pragma once

#include "base/address.h"

#include <optional>
#include <vector>

namespace culvert::tunnel {

// A form of such addresses: its prefix, and the IPv4 addresses that one of them may mean
// (several only where the length of the translator's prefix is not known, RFC 8215).
struct EmbeddedV4 {
  Cidr form;
  std::vector<IpAddress> addresses;
};
// Empty for any other address. IPv4-mapped ones are IPv4 already (base/address.h).
[[nodiscard]] std::optional<EmbeddedV4> embedded_v4(const IpAddress& ip);

}  // namespace culvert::tunnel
