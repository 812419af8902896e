// What a server lets its clients reach. An empty list denies its protocol.
//
// Entries for TCP and UDP (IPv6 in brackets when ports follow):
//   10.0.0.0/8                   every port
//   10.0.0.0/8:5432,8000-8999    these ports
//   2001:db8::/32
//   [2001:db8::/32]:443
// An IPv6 address that leads to an IPv4 one (NAT64, 6to4...; embedded_v4.h) is judged by that,
// unless an entry names its form: 64:ff9b::/96, or a part of it.
// Entries for Unix sockets:
//   unix:/run/docker.sock        exactly this path
//   unix:/run/app/*              every path below: no "..", and no link that leads out
#pragma once

#include "base/address.h"
#include "base/limits.h"
#include "base/result.h"
#include "tunnel/source.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::tunnel {

class AllowList {
 public:
  static constexpr std::size_t kMaxEntries = limits::kMaxAllowEntries;

  // Adds one entry; an error names it and the fix.
  [[nodiscard]] Status add(std::string_view entry);
  [[nodiscard]] bool allows(const SocketAddress& address) const;
  [[nodiscard]] bool is_empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] std::string text() const;  // "[10.0.0.0/8:5432, ::1/128]"

 private:
  struct PortRange {
    std::uint16_t first;
    std::uint16_t last;
  };
  struct Entry {
    Cidr network;
    std::vector<PortRange> ports;  // empty = all
    std::string text;
    [[nodiscard]] bool allows(const SocketAddress& address) const;
  };
  [[nodiscard]] bool has_entry_for(const SocketAddress& address) const;
  static Result<std::vector<PortRange>> parse_ports(std::string_view text, std::string_view entry);
  std::vector<Entry> entries_;
};

class UnixAllowList {
 public:
  [[nodiscard]] Status add(std::string_view entry);
  [[nodiscard]] bool allows(std::string_view path) const;
  // The directory that must hold `path`, which is allowed, when links have been followed;
  // empty when an entry names the path itself: what that leads to is the operator's wish.
  [[nodiscard]] std::string_view directory_for(std::string_view path) const;
  [[nodiscard]] bool is_empty() const { return entries_.empty(); }
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::string> entries_;  // a trailing '*' means prefix
};

// The lists of one server.
struct SourcePolicy {
  AllowList tcp;
  AllowList udp;
  UnixAllowList unix_sockets;

  [[nodiscard]] const AllowList& list_for(Protocol protocol) const {
    return protocol == Protocol::udp ? udp : tcp;
  }
  [[nodiscard]] bool is_empty() const {
    return tcp.is_empty() && udp.is_empty() && unix_sockets.is_empty();
  }
};

// Of a source's resolved addresses those that may be dialled, in the order to try them
// (RFC 8305 4: families interleaved, IPv6 first; IPv4 first when all are loopback). Only
// these are dialled: the name is not resolved again. An error names the source, what it
// resolved to, and the list.
[[nodiscard]] Result<std::vector<SocketAddress>> allowed_addresses(
    const SourcePolicy& policy, const Source& source, const std::vector<IpAddress>& resolved);

}  // namespace culvert::tunnel
