// IP addresses, ports and networks as values. No sockaddr here: net/ and quic/
// convert at their own edge.
#pragma once

#include "base/bytes.h"
#include "base/result.h"

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace culvert {

enum class Family : std::uint8_t { v4, v6 };

// An IPv4 or IPv6 address; IPv6 with its scope id (0 = none). IPv4-mapped IPv6
// addresses (::ffff:a.b.c.d) become IPv4 on construction and parsing.
class IpAddress {
 public:
  constexpr IpAddress() = default;  // 0.0.0.0
  [[nodiscard]] static IpAddress v4(std::uint32_t host_order);
  [[nodiscard]] static IpAddress v4(const std::array<std::uint8_t, 4>& bytes);
  [[nodiscard]] static IpAddress v6(const std::array<std::uint8_t, 16>& bytes,
                                    std::uint32_t scope_id = 0);
  [[nodiscard]] static IpAddress any(Family family);
  [[nodiscard]] static IpAddress loopback(Family family);
  // "192.0.2.1", "2001:db8::1", "fe80::1%3" (numeric scope only), also "[...]".
  [[nodiscard]] static Result<IpAddress> parse(std::string_view text);

  [[nodiscard]] Family family() const { return family_; }
  [[nodiscard]] bool is_v4() const { return family_ == Family::v4; }
  [[nodiscard]] bool is_v6() const { return family_ == Family::v6; }
  // Network order; 4 bytes for v4, 16 for v6.
  [[nodiscard]] ByteView bytes() const { return {bytes_.data(), is_v4() ? 4U : 16U}; }
  [[nodiscard]] std::uint32_t scope_id() const { return scope_id_; }
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_multicast() const;
  [[nodiscard]] bool is_link_local() const;
  [[nodiscard]] std::string text() const;
  // What limits on strangers count by: an IPv4 address, or the /64 of an IPv6 address, since
  // a host can use all of that at will (RFC 4291 2.5.4); a link-local address as it is.
  [[nodiscard]] IpAddress source_network() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  Family family_ = Family::v4;
  std::array<std::uint8_t, 16> bytes_{};
  std::uint32_t scope_id_ = 0;
};

struct SocketAddress {
  IpAddress ip;
  std::uint16_t port = 0;

  // "192.0.2.1:80", "[2001:db8::1]:80". Port required.
  [[nodiscard]] static Result<SocketAddress> parse(std::string_view text);
  [[nodiscard]] std::string text() const;

  friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;
};

// A host (name or literal address, without brackets) and a port.
struct HostPort {
  std::string host;
  std::uint16_t port = 0;

  // "name:80", "192.0.2.1:80", "[::1]:80". Host non-empty, port 0..65535 and present.
  [[nodiscard]] static Result<HostPort> parse(std::string_view text);
  [[nodiscard]] std::string text() const;  // brackets an IPv6 host
  // The address when `host` is a literal.
  [[nodiscard]] std::optional<SocketAddress> literal() const;

  friend auto operator<=>(const HostPort&, const HostPort&) = default;
};

// A network, e.g. 10.0.0.0/8. Host bits must be zero; a bare address is a /32 or /128.
class Cidr {
 public:
  [[nodiscard]] static Result<Cidr> parse(std::string_view text);
  [[nodiscard]] bool contains(const IpAddress& ip) const;
  [[nodiscard]] const IpAddress& network() const { return network_; }
  [[nodiscard]] unsigned prefix_length() const { return prefix_length_; }
  [[nodiscard]] std::string text() const;

  friend auto operator<=>(const Cidr&, const Cidr&) = default;

 private:
  Cidr(IpAddress network, unsigned prefix_length)
      : network_(network), prefix_length_(prefix_length) {}
  IpAddress network_;
  unsigned prefix_length_ = 0;
};

// What ngtcp2 and RFC 9000 call a path: our address and the peer's. An
// unspecified local IP means "whichever the kernel routes from".
struct PathId {
  SocketAddress local;
  SocketAddress remote;

  friend auto operator<=>(const PathId&, const PathId&) = default;
};

}  // namespace culvert

template <>
struct std::hash<culvert::IpAddress> {
  std::size_t operator()(const culvert::IpAddress& ip) const noexcept;
};
template <>
struct std::hash<culvert::SocketAddress> {
  std::size_t operator()(const culvert::SocketAddress& address) const noexcept;
};
