#include "quic/sockaddr.h"

#include <array>
#include <bit>
#include <cstring>

namespace culvert::quic {
namespace {

// Ports lie in network order in a socket address.
std::uint16_t swap_port(std::uint16_t port) {
  if constexpr (std::endian::native == std::endian::little) {
    return static_cast<std::uint16_t>((port >> 8) | (port << 8));
  }
  return port;
}

SocketAddress to_socket_address(const ngtcp2_addr& address) {
  if (address.addr == nullptr || address.addrlen == 0) return {};
  if (address.addr->sa_family == NGTCP2_AF_INET6) {
    ngtcp2_sockaddr_in6 in6{};
    std::memcpy(&in6, address.addr, sizeof(in6));
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &in6.sin6_addr, bytes.size());
    return {IpAddress::v6(bytes, in6.sin6_scope_id), swap_port(in6.sin6_port)};
  }
  ngtcp2_sockaddr_in in{};
  std::memcpy(&in, address.addr, sizeof(in));
  std::array<std::uint8_t, 4> bytes;
  std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
  return {IpAddress::v4(bytes), swap_port(in.sin_port)};
}

}  // namespace

ngtcp2_socklen to_sockaddr(const SocketAddress& address, ngtcp2_sockaddr_union& out) {
  std::memset(&out, 0, sizeof(out));
  const ByteView bytes = address.ip.bytes();
  if (address.ip.is_v4()) {
    out.in.sin_family = NGTCP2_AF_INET;
    out.in.sin_port = swap_port(address.port);
    std::memcpy(&out.in.sin_addr, bytes.data(), bytes.size());
    return sizeof(out.in);
  }
  out.in6.sin6_family = NGTCP2_AF_INET6;
  out.in6.sin6_port = swap_port(address.port);
  std::memcpy(&out.in6.sin6_addr, bytes.data(), bytes.size());
  out.in6.sin6_scope_id = address.ip.scope_id();
  return sizeof(out.in6);
}

void PathStorage::set(const PathId& path) {
  ngtcp2_sockaddr_union local;
  ngtcp2_sockaddr_union remote;
  const ngtcp2_socklen local_size = to_sockaddr(path.local, local);
  const ngtcp2_socklen remote_size = to_sockaddr(path.remote, remote);
  ngtcp2_path_storage_init(&storage_, &local.sa, local_size, &remote.sa, remote_size, nullptr);
  value_ = path;
  has_value_ = true;
}

const ngtcp2_path* PathStorage::get(const PathId& path) {
  if (!has_value_ || value_ != path) set(path);
  return &storage_.path;
}

PathId to_path_id(const ngtcp2_path& path) {
  return {.local = to_socket_address(path.local), .remote = to_socket_address(path.remote)};
}

}  // namespace culvert::quic
