#include "net/network_watch.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <utility>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>

namespace culvert::net {
namespace {

// An interface that comes up brings a dozen messages within some tens of milliseconds.
constexpr Duration kNetworkSettleTime = std::chrono::milliseconds(100);

}  // namespace

NetworkWatch::NetworkWatch(Loop& loop, std::function<void(Instant)> on_changed)
    : loop_(loop),
      on_changed_(std::move(on_changed)),
      fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE)) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups =
      RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (!fd_.is_open() ||
      ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return;
  }
  if (auto watch = loop_.watch(fd_.get(), EPOLLIN, *this)) watch_ = *watch;
}

NetworkWatch::~NetworkWatch() {
  loop_.unwatch(watch_, fd_.get());
}

void NetworkWatch::on_fd_events(std::uint32_t) {
  loop_.make_ready(*this);
}

void NetworkWatch::run(Instant) {
  alignas(nlmsghdr) std::array<std::uint8_t, 8192> buffer;
  bool has_changed = false;
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == ENOBUFS) {  // messages were lost: assume the worst
      has_changed = true;
      continue;
    }
    if (got <= 0) break;
    if (messages_.take({buffer.data(), static_cast<std::size_t>(got)})) has_changed = true;
  }
  if (!has_changed || settling_) return;
  settling_ = loop_.after(kNetworkSettleTime, [this](Instant now) {
    settling_.reset();
    on_changed_(now);
  });
}

}  // namespace culvert::net
