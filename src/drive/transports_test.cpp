#include "drive/transports.h"

#include "base/limits.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace culvert::drive {
namespace {

// Takes so many batches, and then no more until it is told.
class CountingTransport final : public Transport {
 public:
  UdpSendResult send_batch(std::span<const TxBatch> batches) override {
    const std::size_t taken = std::min(room, batches.size());
    for (const TxBatch& batch : batches.first(taken)) {
      sent.emplace_back(batch.bytes.begin(), batch.bytes.end());
    }
    room -= taken;
    return {.batches_taken = taken, .is_blocked = taken < batches.size()};
  }
  std::size_t room = 1'000'000;
  std::vector<std::string> sent;
};

class TransportsTest : public testing::Test {
 protected:
  TransportsTest() {
    transports_.set(PathKind::direct, udp_, 0xFFFF);
    transports_.set(PathKind::relay, relay_, 1'400);
  }

  void add(const SocketAddress& remote, const std::string& packet,
           quic::Batching batching = quic::Batching::shared) {
    const ByteSpan room = tx_.tail(packet.size());
    ASSERT_EQ(room.size(), packet.size());
    std::ranges::copy(packet, room.begin());
    tx_.commit({.local = {}, .remote = remote}, Ecn::not_ect, packet.size(), batching);
  }
  void send(const SocketAddress& remote, const std::string& packet) {
    add(remote, packet);
    transports_.send(tx_);
    EXPECT_TRUE(tx_.is_empty());
  }

  MappedAddresses relayed_{PathKind::relay};
  MappedAddresses turned_{PathKind::turn};
  const SocketAddress direct_{IpAddress::v4(0xC0000201), 4433};
  const SocketAddress peer_ = *relayed_.map(Bytes{1});
  CountingTransport udp_;
  CountingTransport relay_;
  Transports transports_;
  quic::TxBuilder tx_{1 << 20};
};

using Sent = std::vector<std::string>;

TEST_F(TransportsTest, sends_each_batch_by_the_transport_of_its_path) {
  add(direct_, "a");
  add(peer_, "b");
  add(direct_, "c");
  add(direct_, "dd");
  transports_.send(tx_);
  EXPECT_EQ(udp_.sent, (Sent{"a", "c", "dd"}));
  EXPECT_EQ(relay_.sent, (Sent{"b"}));
  EXPECT_EQ(transports_.dropped(), 0U);
}

// The kernel would route it somewhere.
TEST_F(TransportsTest, gives_nothing_for_a_stand_in_to_the_socket) {
  transports_.remove(PathKind::relay);
  send(peer_, "b");
  send(*turned_.map(Bytes{1}), "t");
  EXPECT_EQ(udp_.sent, Sent{});
  EXPECT_EQ(transports_.dropped(), 2U);
}

TEST_F(TransportsTest, one_that_is_blocked_holds_up_no_other) {
  relay_.room = 1;
  add(peer_, "b1");
  add(direct_, "a1");
  add(peer_, "b2");
  add(direct_, "a2");
  transports_.send(tx_);
  EXPECT_EQ(relay_.sent, (Sent{"b1"}));
  EXPECT_EQ(udp_.sent, (Sent{"a1", "a2"}));
  EXPECT_TRUE(transports_.has_blocked());
  EXPECT_TRUE(transports_.is_blocked(peer_.ip));
  EXPECT_FALSE(transports_.is_blocked(direct_.ip));
  send(peer_, "b3");
  send(direct_, "a3");
  EXPECT_EQ(udp_.sent, (Sent{"a1", "a2", "a3"}));
  EXPECT_EQ(relay_.sent, (Sent{"b1"}));
}

TEST_F(TransportsTest, what_waited_leaves_in_order_however_often_it_is_blocked) {
  relay_.room = 0;
  Sent all;
  for (int i = 0; i < 50; ++i) {
    all.push_back("packet " + std::to_string(i));
    send(peer_, all.back());
    if (i % 7 == 3) {
      relay_.room = 2;
      EXPECT_FALSE(transports_.on_writable(PathKind::relay));
      EXPECT_TRUE(transports_.is_blocked(peer_.ip));
    }
  }
  relay_.room = 1'000;
  EXPECT_TRUE(transports_.on_writable(PathKind::relay));
  EXPECT_FALSE(transports_.has_blocked());
  EXPECT_EQ(relay_.sent, all);
  send(peer_, "at once");
  EXPECT_EQ(relay_.sent.back(), "at once");
  EXPECT_EQ(transports_.dropped(), 0U);
}

TEST_F(TransportsTest, what_waits_has_a_bound) {
  relay_.room = 0;
  const std::string packet(1'000, 'x');
  const std::size_t fitting = limits::kTransportBacklog / packet.size();
  for (std::size_t i = 0; i < fitting + 10; ++i) send(peer_, packet);
  EXPECT_EQ(transports_.dropped(), 10U);
  relay_.room = 1'000'000;
  EXPECT_TRUE(transports_.on_writable(PathKind::relay));
  EXPECT_EQ(relay_.sent.size(), fitting);
}

TEST_F(TransportsTest, what_waited_goes_with_its_transport) {
  relay_.room = 0;
  send(peer_, "b1");
  send(peer_, "b2");
  transports_.remove(PathKind::relay);
  EXPECT_FALSE(transports_.has_blocked());
  EXPECT_EQ(transports_.dropped(), 2U);
  transports_.set(PathKind::relay, relay_, 1'400);
  relay_.room = 10;
  EXPECT_TRUE(transports_.on_writable(PathKind::relay));
  send(peer_, "b3");
  EXPECT_EQ(relay_.sent, (Sent{"b3"}));
}

// A path MTU probe among others.
TEST_F(TransportsTest, drops_what_a_transport_cannot_carry_and_nothing_else) {
  add(peer_, std::string(1'400, 'a'));
  add(peer_, std::string(1'401, 'b'), quic::Batching::alone);
  add(peer_, std::string(1'399, 'c'));
  add(direct_, std::string(1'401, 'd'));
  transports_.send(tx_);
  ASSERT_EQ(relay_.sent.size(), 2U);
  EXPECT_EQ(relay_.sent[0][0], 'a');
  EXPECT_EQ(relay_.sent[1][0], 'c');
  EXPECT_EQ(udp_.sent.size(), 1U);
  EXPECT_EQ(transports_.dropped(), 1U);
}

}  // namespace
}  // namespace culvert::drive
