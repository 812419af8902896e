#include "net/interfaces.h"

#include "net/route.h"
#include "net/socket_address.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

namespace culvert::net {
namespace {

// A machine with all that people have.
const std::vector<Interface> kMachine{
    {.index = 1, .name = "lo"},
    {.index = 2, .name = "eth0"},
    {.index = 3, .name = "wg0", .kind = "wireguard"},
    {.index = 4, .name = "tun0", .kind = "tun"},
    {.index = 5, .name = "docker0", .kind = "bridge"},
    {.index = 6, .name = "veth17a", .kind = "veth", .master = 5},
    {.index = 7, .name = "virbr0", .kind = "bridge"},
    {.index = 8, .name = "vnet0", .kind = "tun", .master = 7},
    {.index = 9, .name = "br0", .kind = "bridge"},
    {.index = 10, .name = "eth1", .master = 9},
    {.index = 11, .name = "veth18", .kind = "veth", .master = 9},
    {.index = 12, .name = "br1", .kind = "bridge"},
    {.index = 13, .name = "bond0.7", .kind = "vlan", .master = 12},
    {.index = 14, .name = "br-0a1b2c", .kind = "bridge"},
    {.index = 15, .name = "he-ipv6", .kind = "sit"},
    {.index = 16, .name = "ppp0", .kind = "ppp"},
    {.index = 17, .name = "veth0", .kind = "veth"},
};

AddressUse use(std::string_view name, const InterfaceRules& rules = {}, bool has_default = false) {
  const auto found = std::ranges::find(kMachine, name, &Interface::name);
  EXPECT_NE(found, kMachine.end()) << name;
  return use_of(*found, kMachine, rules, has_default);
}

TEST(Interfaces, of_vpns_and_containers_are_told_from_those_that_lead_out) {
  for (const char* name : {"lo", "eth0", "br0", "br1", "he-ipv6", "ppp0", "veth0"}) {
    EXPECT_EQ(use(name), AddressUse::any) << name;
  }
  for (const char* name : {"wg0", "tun0", "docker0", "virbr0", "br-0a1b2c"}) {
    EXPECT_EQ(use(name), AddressUse::inner) << name;
  }
}

TEST(Interfaces, with_the_default_route_lead_out_unless_a_vpn_has_it) {
  EXPECT_EQ(use("br-0a1b2c", {}, true), AddressUse::any);
  EXPECT_EQ(use("wg0", {}, true), AddressUse::inner);
}

TEST(Interfaces, are_used_as_the_user_says) {
  const InterfaceRules named{.excluded = {"eth1", "br*"}};
  EXPECT_EQ(use("eth1", named), AddressUse::never);
  EXPECT_EQ(use("br0", named), AddressUse::never);
  EXPECT_EQ(use("br-0a1b2c", named), AddressUse::never);
  EXPECT_EQ(use("eth0", named), AddressUse::any);
  EXPECT_EQ(use("wg0", named), AddressUse::inner) << "as without";
  const InterfaceRules all{.excluded = {"tun0"}, .trusts_all = true};
  EXPECT_EQ(use("wg0", all), AddressUse::any);
  EXPECT_EQ(use("docker0", all), AddressUse::any);
  EXPECT_EQ(use("tun0", all), AddressUse::never);
  EXPECT_EQ(use("eth0", {.excluded = {"*"}}), AddressUse::never);
}

Bytes attribute(std::uint16_t type, ByteView value) {
  const rtattr head{.rta_len = static_cast<std::uint16_t>(sizeof head + value.size()),
                    .rta_type = type};
  Bytes bytes(RTA_ALIGN(head.rta_len));
  std::memcpy(bytes.data(), &head, sizeof head);
  std::ranges::copy(value, bytes.begin() + sizeof head);
  return bytes;
}

Bytes text_attribute(std::uint16_t type, std::string_view text) {
  const Bytes value(text.begin(), text.end());
  return attribute(type, value);
}

Bytes link_message(std::uint16_t type, int index, const Bytes& attributes) {
  nlmsghdr head{};
  ifinfomsg link{};
  head.nlmsg_type = type;
  head.nlmsg_len = static_cast<std::uint32_t>(sizeof head + sizeof link + attributes.size());
  link.ifi_index = index;
  Bytes bytes(sizeof head + sizeof link);
  std::memcpy(bytes.data(), &head, sizeof head);
  std::memcpy(bytes.data() + sizeof head, &link, sizeof link);
  bytes.insert(bytes.end(), attributes.begin(), attributes.end());
  return bytes;
}

TEST(Interfaces, are_read_from_what_the_kernel_says) {
  const std::uint32_t master = 9;
  Bytes master_bytes(sizeof master);
  std::memcpy(master_bytes.data(), &master, sizeof master);
  Bytes attributes = text_attribute(IFLA_IFNAME, std::string_view("veth1\0", 6));
  for (const Bytes& more :
       {attribute(IFLA_MASTER, master_bytes),
        attribute(IFLA_LINKINFO, text_attribute(IFLA_INFO_KIND, std::string_view("veth\0", 5)))}) {
    attributes.insert(attributes.end(), more.begin(), more.end());
  }
  const Bytes message = link_message(RTM_NEWLINK, 7, attributes);
  Bytes two = message;
  const Bytes other = link_message(RTM_DELLINK, 8, {});
  two.insert(two.end(), other.begin(), other.end());
  const auto found = parse_interfaces(two);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].index, 7U);
  EXPECT_EQ(found[0].name, "veth1");
  EXPECT_EQ(found[0].kind, "veth");
  EXPECT_EQ(found[0].master, 9U);
  for (std::size_t size = 0; size < message.size(); ++size) {
    EXPECT_TRUE(parse_interfaces(ByteView(message).first(size)).empty()) << size;
  }
}

TEST(Interfaces, of_this_machine_have_the_kernels_names) {
  // Sandboxes of builds forbid it; interfaces() knows of none then, and must not otherwise.
  const Fd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink.is_open()) GTEST_SKIP() << "this sandbox has no netlink";
  const auto all = interfaces();
  for (const Interface& interface : all) {
    EXPECT_EQ(::if_nametoindex(interface.name.c_str()), interface.index) << interface.name;
  }
  EXPECT_NE(std::ranges::find(all, "lo", &Interface::name), all.end());
  for (const LocalAddress& address : local_addresses({.excluded = {"lo"}})) {
    // By interface, not by address: some machines have others at "lo".
    EXPECT_EQ(address.use == AddressUse::never, address.interface_index == ::if_nametoindex("lo"))
        << address.ip.text();
  }
}

}  // namespace
}  // namespace culvert::net
