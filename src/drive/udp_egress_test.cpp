#include "drive/udp_egress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace culvert::drive {
namespace {

// Takes so many batches of a call.
class TakingPort final : public UdpPort {
 public:
  UdpSendResult send_batch(std::span<const TxBatch> batches) override {
    ++calls;
    const std::size_t taken = std::min(room, batches.size());
    for (const TxBatch& batch : batches.first(taken)) {
      for_each_segment(batch,
                       [&](ByteView bytes) { sent.emplace_back(bytes.begin(), bytes.end()); });
    }
    return {.batches_taken = taken, .is_blocked = taken < batches.size()};
  }
  void pin_sources(std::vector<LocalAddress>) override {}
  std::size_t recv_batch(std::span<RxDatagram>) override { return 0; }
  void want_refusals(bool) override {}
  std::optional<UdpRefusal> poll_refusal() override { return {}; }
  [[nodiscard]] SocketAddress local_address() const override { return {}; }

  std::size_t room = 1'000'000;
  int calls = 0;
  std::vector<std::string> sent;
};

using Datagrams = std::vector<std::string>;

const PathId kSomewhere{.local = {}, .remote = {IpAddress::v4(0x7F000001), 53}};
const PathId kElsewhere{.local = {}, .remote = {IpAddress::v4(0x7F000001), 54}};

void say(UdpEgress& egress, UdpPort& port, const std::string& payload,
         const PathId& path = kSomewhere) {
  egress.send(port, path, as_bytes(payload));
}

TEST(UdpEgress, sends_a_turns_datagrams_of_a_port_in_one_call) {
  UdpEgress egress;
  TakingPort port;
  say(egress, port, "one");
  say(egress, port, "two");
  say(egress, port, "", kElsewhere);
  say(egress, port, "four", kElsewhere);
  EXPECT_EQ(port.calls, 0);
  egress.flush();
  EXPECT_EQ(port.calls, 1);
  EXPECT_EQ(port.sent, (Datagrams{"one", "two", "", "four"}));
  egress.flush();
  EXPECT_EQ(port.calls, 1);
}

TEST(UdpEgress, keeps_the_ports_apart) {
  UdpEgress egress;
  TakingPort first;
  TakingPort second;
  say(egress, first, "a");
  say(egress, second, "b");
  say(egress, first, "c");
  egress.flush();
  EXPECT_EQ(first.sent, (Datagrams{"a", "c"}));
  EXPECT_EQ(second.sent, (Datagrams{"b"}));
}

TEST(UdpEgress, counts_what_a_full_socket_refuses_as_lost) {
  UdpEgress egress;
  TakingPort port;
  port.room = 1;
  say(egress, port, "gone out");
  say(egress, port, "lost", kElsewhere);
  say(egress, port, "LOST", kElsewhere);
  egress.flush();
  EXPECT_EQ(port.sent, (Datagrams{"gone out"}));
  EXPECT_EQ(egress.dropped(), 2U);
  port.room = 10;
  egress.flush();  // and are not sent later, out of their order
  EXPECT_EQ(port.sent.size(), 1U);
}

TEST(UdpEgress, sends_what_a_port_still_has_before_it_goes) {
  UdpEgress egress;
  {
    TakingPort port;
    say(egress, port, "last words");
    egress.forget(port);
    EXPECT_EQ(port.sent, (Datagrams{"last words"}));
  }
  egress.flush();
  TakingPort other;
  say(egress, other, "of another");
  TakingPort stranger;
  egress.forget(stranger);
  EXPECT_TRUE(other.sent.empty());
  egress.flush();
  EXPECT_EQ(other.sent, (Datagrams{"of another"}));
}

// A flow can send as much as it likes in a turn, of nothing at all as well.
TEST(UdpEgress, sends_early_what_is_more_than_it_holds) {
  UdpEgress egress;
  TakingPort port;
  const std::string payload(60'000, 'x');
  for (int i = 0; i < 20; ++i) say(egress, port, payload);
  EXPECT_GT(port.calls, 0);
  for (int i = 0; i < 10'000; ++i) say(egress, port, "");
  egress.flush();
  EXPECT_EQ(port.sent.size(), 10'020U);
  EXPECT_EQ(egress.dropped(), 0U);
  say(egress, port, std::string(300'000, 'x'));
  egress.flush();
  EXPECT_EQ(egress.dropped(), 1U);
}

}  // namespace
}  // namespace culvert::drive
