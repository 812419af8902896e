#include "net/interfaces.h"

#include "net/socket_address.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace culvert::net {
namespace {

constexpr std::size_t kReadBytes = 32 << 10;  // what the kernel fills of a dump at a time
constexpr int kMaxReads = 4'096;              // some hundred thousand interfaces

// Kinds of `ip link add type`, where they have one. Of tun devices it is "tun" for all.
constexpr std::array<std::string_view, 20> kVpnKinds{
    "wireguard", "tun",     "ovpn",  "ovpn-dco", "amneziawg", "xfrm",   "vti",
    "vti6",      "ipip",    "gre",   "gretap",   "ip6gre",    "ip6tnl", "ip6gretap",
    "erspan",    "l2tpeth", "vxlan", "geneve",   "bareudp",   "batadv"};

// What a bridge may have without leading out of this machine.
bool is_inner_port(const Interface& port) {
  return port.kind == "veth" || port.kind == "dummy" || is_vpn(port);
}

template <typename T>
bool read_struct(ByteView bytes, T& out) {
  if (bytes.size() < sizeof out) return false;
  std::memcpy(&out, bytes.data(), sizeof out);
  return true;
}

std::string text_of(ByteView value) {
  std::string text(reinterpret_cast<const char*>(value.data()), value.size());
  return text.substr(0, text.find('\0'));
}

// `take` gets type and value of each attribute.
template <typename Take>
void for_each_attribute(ByteView bytes, Take take) {
  rtattr head{};
  while (read_struct(bytes, head) && head.rta_len >= sizeof head && head.rta_len <= bytes.size()) {
    take(head.rta_type & NLA_TYPE_MASK, bytes.subspan(sizeof head, head.rta_len - sizeof head));
    bytes = bytes.subspan(std::min<std::size_t>(RTA_ALIGN(head.rta_len), bytes.size()));
  }
}

Interface parse_interface(std::uint32_t index, ByteView attributes) {
  Interface found{.index = index};
  for_each_attribute(attributes, [&](int type, ByteView value) {
    if (type == IFLA_IFNAME) found.name = text_of(value);
    if (type == IFLA_MASTER) read_struct(value, found.master);
    if (type != IFLA_LINKINFO) return;
    for_each_attribute(value, [&](int inner, ByteView kind) {
      if (inner == IFLA_INFO_KIND) found.kind = text_of(kind);
    });
  });
  return found;
}

// Whether a dump's last message is among these.
bool is_end_of_dump(ByteView messages) {
  nlmsghdr head{};
  while (read_struct(messages, head) && head.nlmsg_len >= sizeof head &&
         head.nlmsg_len <= messages.size()) {
    if (head.nlmsg_type == NLMSG_DONE || head.nlmsg_type == NLMSG_ERROR) return true;
    messages =
        messages.subspan(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), messages.size()));
  }
  return false;
}

}  // namespace

std::vector<Interface> parse_interfaces(ByteView messages) {
  std::vector<Interface> found;
  nlmsghdr head{};
  while (read_struct(messages, head) && head.nlmsg_len >= sizeof head &&
         head.nlmsg_len <= messages.size()) {
    const ByteView body = messages.subspan(sizeof head, head.nlmsg_len - sizeof head);
    ifinfomsg link{};
    if (head.nlmsg_type == RTM_NEWLINK && read_struct(body, link)) {
      found.push_back(parse_interface(static_cast<std::uint32_t>(link.ifi_index),
                                      body.subspan(NLMSG_ALIGN(sizeof link))));
    }
    messages =
        messages.subspan(std::min<std::size_t>(NLMSG_ALIGN(head.nlmsg_len), messages.size()));
  }
  return found;
}

std::vector<Interface> interfaces() {
  const Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  struct Request {
    nlmsghdr head{};
    ifinfomsg link{};
  } request;
  request.head.nlmsg_len = sizeof request;
  request.head.nlmsg_type = RTM_GETLINK;
  request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  if (!fd.is_open() || ::send(fd.get(), &request, sizeof request, 0) < 0) return {};
  std::vector<Interface> all;
  std::vector<std::uint8_t> buffer(kReadBytes);
  for (int reads = 0; reads < kMaxReads; ++reads) {
    const ssize_t got = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    const ByteView messages(buffer.data(), static_cast<std::size_t>(got));
    std::ranges::move(parse_interfaces(messages), std::back_inserter(all));
    if (is_end_of_dump(messages)) break;
  }
  return all;
}

bool is_vpn(const Interface& interface) {
  return std::ranges::find(kVpnKinds, interface.kind) != kVpnKinds.end();
}

bool is_inner_bridge(const Interface& interface, const std::vector<Interface>& all) {
  return interface.kind == "bridge" && std::ranges::none_of(all, [&](const Interface& port) {
           return port.master == interface.index && !is_inner_port(port);
         });
}

bool InterfaceRules::excludes(std::string_view name) const {
  return std::ranges::any_of(excluded, [&](std::string_view pattern) {
    if (!pattern.ends_with('*')) return name == pattern;
    pattern.remove_suffix(1);
    return name.starts_with(pattern);
  });
}

AddressUse use_of(const Interface& interface, const std::vector<Interface>& all,
                  const InterfaceRules& rules, bool has_default_route) {
  if (rules.excludes(interface.name)) return AddressUse::never;
  if (rules.trusts_all) return AddressUse::any;
  const bool is_inner =
      is_vpn(interface) || (is_inner_bridge(interface, all) && !has_default_route);
  return is_inner ? AddressUse::inner : AddressUse::any;
}

}  // namespace culvert::net
