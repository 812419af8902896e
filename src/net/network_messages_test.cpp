#include "net/network_messages.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

namespace culvert::net {
namespace {

template <typename Body>
Bytes message(std::uint16_t type, const Body& body) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_len = NLMSG_LENGTH(sizeof body);
  Bytes bytes(NLMSG_SPACE(sizeof body));
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, &body, sizeof body);
  return bytes;
}

Bytes link(int index, bool is_running, std::uint16_t type = RTM_NEWLINK) {
  ifinfomsg body{};
  body.ifi_index = index;
  body.ifi_flags = IFF_UP;
  if (is_running) body.ifi_flags |= IFF_RUNNING;
  return message(type, body);
}

Bytes route(unsigned flags) {
  rtmsg body{};
  body.rtm_flags = flags;
  return message(RTM_NEWROUTE, body);
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

TEST(NetworkMessages, tell_of_addresses_and_routes) {
  NetworkMessages messages;
  EXPECT_TRUE(messages.take(message(RTM_NEWADDR, ifaddrmsg{})));
  EXPECT_TRUE(messages.take(message(RTM_DELADDR, ifaddrmsg{})));
  EXPECT_TRUE(messages.take(route(0)));
  EXPECT_FALSE(messages.take(route(RTM_F_CLONED)));
  EXPECT_TRUE(messages.take(route(RTM_F_CLONED) + route(0)));
  EXPECT_TRUE(messages.take(route(0) + route(RTM_F_CLONED)));
}

TEST(NetworkMessages, tell_when_an_interface_works_again_and_not_when_it_still_does) {
  NetworkMessages messages;
  EXPECT_FALSE(messages.take(link(2, false)));
  EXPECT_FALSE(messages.take(link(2, false)));
  EXPECT_TRUE(messages.take(link(2, true)));
  EXPECT_FALSE(messages.take(link(2, true)));
  EXPECT_TRUE(messages.take(link(3, true)));
  EXPECT_FALSE(messages.take(link(3, false)));
  EXPECT_FALSE(messages.take(link(2, true)));
  EXPECT_TRUE(messages.take(link(3, false) + link(3, true)));
  // Another one may get the number of one that is gone.
  EXPECT_FALSE(messages.take(link(2, true, RTM_DELLINK)));
  EXPECT_TRUE(messages.take(link(2, true)));
}

TEST(NetworkMessages, that_are_cut_off_are_no_news) {
  NetworkMessages messages;
  for (const Bytes& whole : {link(2, true), route(0)}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_FALSE(messages.take(ByteView(whole).first(size))) << size;
    }
  }
  Bytes endless = link(2, true);
  endless[0] = 0;  // nlmsg_len
  EXPECT_FALSE(messages.take(endless));
}

}  // namespace
}  // namespace culvert::net
