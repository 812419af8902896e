#include "net/network_messages.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

namespace culvert::net {
namespace {

template <typename Header>
std::optional<Header> header_of(ByteView bytes) {
  Header header{};
  if (bytes.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

}  // namespace

bool NetworkMessages::take(ByteView messages) {
  bool is_change = false;
  while (const auto header = header_of<nlmsghdr>(messages)) {
    if (header->nlmsg_len < sizeof *header || header->nlmsg_len > messages.size()) break;
    const ByteView body = messages.subspan(sizeof *header, header->nlmsg_len - sizeof *header);
    switch (header->nlmsg_type) {
      case RTM_NEWADDR:
      case RTM_DELADDR:
        is_change = true;
        break;
      case RTM_NEWROUTE:
      case RTM_DELROUTE: {
        // Not those of the routing cache: path MTU exceptions, redirects.
        const auto route = header_of<rtmsg>(body);
        is_change |= route && (route->rtm_flags & RTM_F_CLONED) == 0;
        break;
      }
      case RTM_NEWLINK:
      case RTM_DELLINK:
        is_change |= take_link(body, header->nlmsg_type == RTM_DELLINK);
        break;
      default:
        break;
    }
    messages =
        messages.subspan(std::min<std::size_t>(NLMSG_ALIGN(header->nlmsg_len), messages.size()));
  }
  return is_change;
}

// Wireless drivers send these for every change of signal: only the state counts.
bool NetworkMessages::take_link(ByteView body, bool is_deleted) {
  const auto link = header_of<ifinfomsg>(body);
  if (!link) return false;
  if (is_deleted) {
    is_running_.erase(link->ifi_index);
    return false;
  }
  const bool is_running = (link->ifi_flags & IFF_RUNNING) != 0;
  const auto [known, is_new] = is_running_.try_emplace(link->ifi_index, is_running);
  const bool was_running = !is_new && known->second;
  known->second = is_running;
  return is_running && !was_running;
}

}  // namespace culvert::net
