// SocketAddress <-> sockaddr, in one place. Private to net/.
#pragma once

#include "base/address.h"
#include "base/result.h"
#include "ports/ports.h"

#include <optional>
#include <string>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace culvert::net {

struct RawAddress {
  sockaddr_storage storage;
  socklen_t size = 0;
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Owns a file descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Fd() { close(); }
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  void close();

 private:
  int fd_ = -1;
};

// `as_v6`: write IPv4 as ::ffff:a.b.c.d, for a dual-stack socket.
void to_raw(const SocketAddress& address, bool as_v6, RawAddress& out);
// IPv4-mapped addresses become IPv4. Empty for other families.
[[nodiscard]] std::optional<SocketAddress> from_raw(const sockaddr* raw);

[[nodiscard]] in6_addr to_in6(const IpAddress& ip);  // IPv4 becomes mapped
[[nodiscard]] IpAddress from_in6(const in6_addr& raw, std::uint32_t scope_id);
[[nodiscard]] in_addr to_in4(const IpAddress& ip);
[[nodiscard]] IpAddress from_in4(const in_addr& raw);

// Fails when the path does not fit into sun_path.
[[nodiscard]] Status to_raw_unix(const std::string& path, RawAddress& out);

// The socket at `path.path` itself, held by `held` until connect() is over: a path that leads
// through the descriptor, so that no link is followed a second time. Fails when it is not
// beneath the directory that must hold it.
[[nodiscard]] Status to_raw_held(const UnixPath& path, Fd& held, RawAddress& out);

// "what: strerror(error)" with a fitting kind: limit for exhaustion, io otherwise.
[[nodiscard]] Error system_error(int error, std::string what, std::string offender);
// Of socket() and bind(). An address that this machine does not have is unreachable
// (flow/listen_places.h); of ports that need a right the kernel says only "Permission denied".
[[nodiscard]] Error listen_error(int error, std::string what, const SocketAddress& address);

// False when the kernel does not know or refuses it.
bool set_option(int fd, int level, int name, int value);

}  // namespace culvert::net
