// The little socket code the load generators share. Errors end the program: these are
// tools, run by a script that checks their exit status.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <netinet/in.h>

namespace culvert::bench {

// Owns a descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

[[noreturn]] void die(const std::string& what);
// "127.0.0.1:80" (IPv4 literals only).
[[nodiscard]] sockaddr_in parse_address(const std::string& text);
[[nodiscard]] Socket tcp_listen(const std::string& address);
[[nodiscard]] Socket tcp_connect(const sockaddr_in& address);  // TCP_NODELAY set
[[nodiscard]] Socket udp_bind(const std::string& address);
void set_receive_timeout(const Socket& socket, std::chrono::milliseconds timeout);
void raise_descriptor_limit();
// Lines "listening ADDRESS:PORT" for scripts that asked for port 0.
void announce(const Socket& socket);

[[nodiscard]] long parse_count(const std::string& text, long low, long high);

}  // namespace culvert::bench
