#include "net/route.h"

#include "net/socket_address.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>

namespace culvert::net {

Result<IpAddress> local_address_towards(const IpAddress& remote) {
  // Connecting a UDP socket only looks up the route. The port does not matter (not 0: some
  // systems refuse it).
  const Fd fd(::socket(remote.is_v6() ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  RawAddress raw;
  to_raw({remote, 9}, remote.is_v6(), raw);
  if (!fd.is_open() || ::connect(fd.get(), raw.get(), raw.size) != 0) {
    Error error = system_error(errno, "no route", remote.text());
    error.kind = ErrorKind::unreachable;
    return std::unexpected(std::move(error));
  }
  raw.size = sizeof raw.storage;
  if (::getsockname(fd.get(), raw.get(), &raw.size) != 0) {
    return std::unexpected(system_error(errno, "getsockname", remote.text()));
  }
  const auto local = from_raw(raw.get());
  if (!local) return fail(ErrorKind::unreachable, "no route", remote.text());
  return local->ip;
}

std::vector<IpAddress> interface_addresses() {
  std::vector<IpAddress> ips;
  for (const drive::LocalAddress& address : local_addresses()) ips.push_back(address.ip);
  return ips;
}

std::vector<drive::LocalAddress> local_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  std::vector<drive::LocalAddress> found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const auto address = from_raw(entry->ifa_addr);
    if (!address || address->ip.is_link_local()) continue;
    if (std::ranges::find(found, address->ip, &drive::LocalAddress::ip) != found.end()) continue;
    found.push_back({.ip = address->ip, .interface_index = ::if_nametoindex(entry->ifa_name)});
  }
  ::freeifaddrs(list);
  std::ranges::sort(found, {}, [](const drive::LocalAddress& address) {
    const int rank = (address.ip.is_loopback() ? 2 : 0) + (address.ip.is_v6() ? 1 : 0);
    return std::pair(rank, address.ip);
  });
  return found;
}

}  // namespace culvert::net
