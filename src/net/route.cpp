#include "net/route.h"

#include "net/socket_address.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>

namespace culvert::net {
namespace {

// Somewhere behind the default route: addresses for documentation (RFC 5737, 3849), to which
// nothing is sent.
constexpr std::array<const char*, 2> kAnywhere{"192.0.2.1", "2001:db8::1"};

}  // namespace

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

std::vector<LocalAddress> local_addresses(const InterfaceRules& rules) {
  const std::vector<Interface> links = interfaces();
  std::vector<IpAddress> default_sources;
  for (const char* anywhere : kAnywhere) {
    const auto local = local_address_towards(IpAddress::parse(anywhere).value());
    if (local) default_sources.push_back(*local);
  }
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  std::vector<LocalAddress> found;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const auto address = from_raw(entry->ifa_addr);
    if (!address || address->ip.is_link_local()) continue;
    if (std::ranges::find(found, address->ip, &LocalAddress::ip) != found.end()) continue;
    const std::uint32_t index = ::if_nametoindex(entry->ifa_name);
    const auto link = std::ranges::find(links, index, &Interface::index);
    const Interface unknown{.index = index, .name = entry->ifa_name};
    const bool has_default_route =
        std::ranges::find(default_sources, address->ip) != default_sources.end();
    found.push_back(
        {.ip = address->ip,
         .interface_index = index,
         .use = use_of(link != links.end() ? *link : unknown, links, rules, has_default_route)});
  }
  ::freeifaddrs(list);
  std::ranges::sort(found, {}, [](const LocalAddress& address) {
    const int rank = (address.ip.is_loopback() ? 2 : 0) + (address.ip.is_v6() ? 1 : 0);
    return std::pair(rank, address.ip);
  });
  return found;
}

}  // namespace culvert::net
