// A queue that a tunnel shares with somebody whose congestion control fills it.
#include "tests/sim/hostile_client.h"

#include <gtest/gtest.h>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Beside CUBIC, which is in the queue until packets are lost, a tunnel goes there as well to have
// its part, and leaves it when the other has gone (docs/decisions/0015).
TEST(SimQueueFigures, is_shared_while_another_fills_it_and_left_afterwards) {
  constexpr std::uint64_t kRate = 50'000'000;
  TunnelWorldConfig config;
  config.client_up.delay = config.client_down.delay = milliseconds(10);
  for (LinkConfig* link :
       {&config.client_up, &config.client_down, &config.server_up, &config.server_down}) {
    link->mtu = 1500;
  }
  config.server_down.bits_per_second = kRate;
  config.server_down.queue_bytes = kRate / 8 / 20;  // 50 ms
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  Talker& talker = tunnel.call({.seed = 1, .upload_bytes = 1'000'000'000});
  tunnel.world.run_for(seconds(2));
  HostileClient other(tunnel, 1, {.congestion_control = quic::CongestionControl::cubic});
  HostileLine& line = other.log_in();
  RawStream& flow = *line.open({.source = std::string(kTarget), .flow_id = 1});
  line.wire.send(flow, FlowPlan{.seed = 2, .upload_bytes = 1'000'000'000}.encode());
  line.wire.send(flow, Bytes(150'000'000, 0));
  tunnel.world.run_for(seconds(5));
  const std::uint64_t sent = talker.sent();
  tunnel.world.run_for(seconds(10));
  EXPECT_GT(8 * (talker.sent() - sent) / 10, kRate / 4);
  EXPECT_GT(tunnel.client->paths().at(0).connection.smoothed_rtt, milliseconds(40));
  ASSERT_FALSE(flow.to_send.empty()) << "it is still there";
  line.wire.close(7);
  tunnel.world.run_for(seconds(10));
  EXPECT_LT(tunnel.client->paths().at(0).connection.smoothed_rtt, milliseconds(25));
}

}  // namespace
}  // namespace culvert::sim
