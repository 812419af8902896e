#include "net/socket_address.h"

#include <climits>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

namespace culvert::net {

in6_addr to_in6(const IpAddress& ip) {
  in6_addr raw{};
  const ByteView bytes = ip.bytes();
  if (ip.is_v6()) {
    std::memcpy(raw.s6_addr, bytes.data(), 16);
  } else {
    raw.s6_addr[10] = raw.s6_addr[11] = 0xff;
    std::memcpy(raw.s6_addr + 12, bytes.data(), 4);
  }
  return raw;
}

IpAddress from_in6(const in6_addr& raw, std::uint32_t scope_id) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), raw.s6_addr, bytes.size());
  return IpAddress::v6(bytes, scope_id);  // mapped addresses become IPv4 there
}

in_addr to_in4(const IpAddress& ip) {
  in_addr raw{};
  std::memcpy(&raw, ip.bytes().data(), 4);
  return raw;
}

IpAddress from_in4(const in_addr& raw) {
  std::array<std::uint8_t, 4> bytes{};
  std::memcpy(bytes.data(), &raw, bytes.size());
  return IpAddress::v4(bytes);
}

void to_raw(const SocketAddress& address, bool as_v6, RawAddress& out) {
  if (address.ip.is_v4() && !as_v6) {
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    raw.sin_addr = to_in4(address.ip);
    raw.sin_port = htons(address.port);
    std::memcpy(&out.storage, &raw, sizeof raw);
    out.size = sizeof raw;
    return;
  }
  sockaddr_in6 raw{};
  raw.sin6_family = AF_INET6;
  raw.sin6_addr = to_in6(address.ip);
  raw.sin6_port = htons(address.port);
  raw.sin6_scope_id = address.ip.scope_id();
  std::memcpy(&out.storage, &raw, sizeof raw);
  out.size = sizeof raw;
}

std::optional<SocketAddress> from_raw(const sockaddr* raw) {
  if (raw->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(raw);
    return SocketAddress{from_in4(v4->sin_addr), ntohs(v4->sin_port)};
  }
  if (raw->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(raw);
    return SocketAddress{from_in6(v6->sin6_addr, v6->sin6_scope_id), ntohs(v6->sin6_port)};
  }
  return std::nullopt;
}

Status to_raw_unix(const std::string& path, RawAddress& out) {
  sockaddr_un raw{};
  raw.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof raw.sun_path) {
    return fail(ErrorKind::configuration,
                "socket path must have 1 to " + std::to_string(sizeof raw.sun_path - 1) + " bytes",
                path);
  }
  std::memcpy(raw.sun_path, path.data(), path.size());
  std::memcpy(&out.storage, &raw, sizeof raw);
  out.size = sizeof raw;
  return {};
}

Status to_raw_held(const UnixPath& path, Fd& held, RawAddress& out) {
  const auto real_path = [](const Fd& fd) {
    std::array<char, PATH_MAX> target{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
    const ssize_t size = ::readlink(link.c_str(), target.data(), target.size());
    return std::string(target.data(), size < 0 ? 0U : static_cast<std::size_t>(size));
  };
  const Fd directory(::open(path.beneath.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open()) {
    return std::unexpected(system_error(errno, "cannot open the allowed directory", path.beneath));
  }
  held = Fd(::open(path.path.c_str(), O_PATH | O_CLOEXEC));
  if (!held.is_open()) return std::unexpected(system_error(errno, "cannot connect", path.path));
  std::string allowed = real_path(directory);
  const std::string real = real_path(held);
  if (allowed.empty() || real.empty()) {
    return fail(ErrorKind::io, "cannot tell where the path leads: is /proc mounted?", path.path);
  }
  if (!allowed.ends_with('/')) allowed += '/';
  if (!real.starts_with(allowed)) {
    return fail(ErrorKind::refused, "leads out of the allowed directory by a link", path.path);
  }
  return to_raw_unix("/proc/self/fd/" + std::to_string(held.get()), out);
}

Error system_error(int error, std::string what, std::string offender) {
  const bool is_exhausted =
      error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
  return Error{is_exhausted ? ErrorKind::limit : ErrorKind::io,
               std::move(what) + ": " + std::strerror(error), std::move(offender)};
}

Error listen_error(int error, std::string what, const SocketAddress& address) {
  constexpr std::uint16_t kFirstFreePort = 1024;  // net.ipv4.ip_unprivileged_port_start
  Error failed = system_error(error, std::move(what), address.text());
  const bool is_absent = error == EADDRNOTAVAIL || error == EAFNOSUPPORT;
  if (is_absent) failed.kind = ErrorKind::unreachable;
  if (error == EACCES && address.port != 0 && address.port < kFirstFreePort) {
    failed.what +=
        "; ports below 1024 need root or CAP_NET_BIND_SERVICE (AmbientCapabilities= of a unit, or "
        "setcap cap_net_bind_service=+ep of the program): grant it, or take a higher port";
  }
  return failed;
}

void Fd::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

}  // namespace culvert::net
