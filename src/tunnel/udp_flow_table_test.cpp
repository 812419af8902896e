#include "tunnel/udp_flow_table.h"

#include <gtest/gtest.h>

namespace culvert::tunnel {
namespace {

using std::chrono::seconds;
constexpr Instant kTableStart{seconds(1)};

SocketAddress sender(std::uint16_t port) {
  return {IpAddress::loopback(Family::v4), port};
}

TEST(UdpFlowTable, finds_flows_by_sender_socket_and_id) {
  UdpFlowTable table(seconds(60), 10);
  UdpFlow& a = table.add(kTableStart, 1, sender(1000), 0);
  UdpFlow& b = table.add(kTableStart, 2, sender(1000), 1);  // the same sender at our other socket
  EXPECT_EQ(table.find(sender(1000), 0), &a);
  EXPECT_EQ(table.find(sender(1000), 1), &b);
  EXPECT_EQ(table.find(2), &b);
  EXPECT_EQ(table.find(sender(1001), 0), nullptr);
  EXPECT_EQ(table.find(3), nullptr);
  table.remove(a);
  EXPECT_EQ(table.find(1), nullptr);
  EXPECT_EQ(table.find(sender(1000), 0), nullptr);
  EXPECT_EQ(table.find(2), &b);
}

TEST(UdpFlowTable, expires_the_idle_and_keeps_the_active) {
  UdpFlowTable table(seconds(60), 10);
  EXPECT_EQ(table.next_timeout(), kNever);
  UdpFlow& a = table.add(kTableStart, 1, sender(1), 0);
  table.add(kTableStart + seconds(1), 2, sender(2), 0);
  table.touch(kTableStart + seconds(30), a);
  EXPECT_EQ(table.next_timeout(), kTableStart + seconds(61));
  EXPECT_EQ(table.poll_expired(kTableStart + seconds(60)), nullptr);
  UdpFlow* expired = table.poll_expired(kTableStart + seconds(61));
  ASSERT_NE(expired, nullptr);
  EXPECT_EQ(expired->id, 2U);
  table.remove(*expired);
  EXPECT_EQ(table.poll_expired(kTableStart + seconds(61)), nullptr);
  EXPECT_EQ(table.next_timeout(), kTableStart + seconds(90));
}

TEST(UdpFlowTable, knows_when_it_is_full_and_who_goes_first) {
  UdpFlowTable table(seconds(60), 2);
  UdpFlow& a = table.add(kTableStart, 1, sender(1), 0);
  table.add(kTableStart, 2, sender(2), 0);
  EXPECT_TRUE(table.is_full());
  table.touch(kTableStart + seconds(1), a);
  EXPECT_EQ(table.idlest()->id, 2U);
  table.remove(*table.idlest());
  EXPECT_FALSE(table.is_full());
  EXPECT_EQ(table.size(), 1U);
}

}  // namespace
}  // namespace culvert::tunnel
