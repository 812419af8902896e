#include "net/service_manager.h"

#include "net/socket_address.h"

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace culvert::net {

void notify_service_manager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return;
  const std::size_t length = std::strlen(path);
  sockaddr_un address{};
  if (length < 2 || length >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, length);
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // abstract namespace
  const Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address), size);
}

void ServiceState::ready() {
  if (is_stopping_ || std::exchange(is_ready_, true)) return;
  notify_service_manager("READY=1");
}

void ServiceState::reloading() {
  if (is_stopping_ || !is_ready_) return;
  is_reloading_ = true;
  // By the clock that systemd compares with when it asked.
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  notify_service_manager("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us));
}

void ServiceState::reloaded() {
  if (is_stopping_ || !std::exchange(is_reloading_, false)) return;
  notify_service_manager("READY=1");
}

void ServiceState::stopping() {
  if (std::exchange(is_stopping_, true)) return;
  notify_service_manager("STOPPING=1");
}

std::optional<Duration> watchdog_interval() {
  const char* text = std::getenv("WATCHDOG_USEC");
  if (text == nullptr) return std::nullopt;
  // WATCHDOG_PID names the process it is meant for; ours or none.
  if (const char* pid = std::getenv("WATCHDOG_PID");
      pid != nullptr && pid != std::to_string(::getpid())) {
    return std::nullopt;
  }
  std::uint64_t microseconds = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), microseconds);
  if (error != std::errc() || *end != '\0' || microseconds < 2) return std::nullopt;
  return std::chrono::microseconds(microseconds / 2);
}

}  // namespace culvert::net
