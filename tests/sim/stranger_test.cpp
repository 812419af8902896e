// What clients without a credential may do to a server, and to those who have one.
#include "tests/sim/stranger.h"

#include "session/flow_open.h"
#include "session/mf4_json.h"
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr LinkConfig kWire{.delay = milliseconds(10)};

struct Siege {
  explicit Siege(TunnelWorldConfig config = {}, std::uint64_t seed = 1)
      : tunnel(seed, std::move(config)) {}

  Stranger& stranger(std::vector<IpAddress> addresses) {
    strangers.push_back(std::make_unique<Stranger>(tunnel.network, null_logger(),
                                                   "stranger " + std::to_string(strangers.size()),
                                                   std::move(addresses), kWire, kWire));
    return *strangers.back();
  }
  Visit& visit(Stranger& from, const std::string& alpn = "culvert/1", std::size_t address = 0) {
    return from.visit(TunnelWorld::server_address(), tunnel.server_key.public_key(), alpn, address);
  }
  [[nodiscard]] std::uint64_t connections() const { return tunnel.servers[0]->stats().connections; }
  bool run_until(const std::function<bool()>& is_done, Duration within) {
    return tunnel.world.run_until(is_done, tunnel.world.now() + within);
  }

  TunnelWorld tunnel;
  std::vector<std::unique_ptr<Stranger>> strangers;
};

const IpAddress kStrangerIp = IpAddress::v4(0xCB007101);  // 203.0.113.1

// The place of the stream on which the proof was refused comes back to the client when both
// ends of it are over, before the connection closes.
TEST(SimStranger, who_was_refused_opens_no_flow) {
  Siege siege;
  Stranger& stranger = siege.stranger({kStrangerIp});
  Visit& visit = siege.visit(stranger, "mf/4");
  ASSERT_TRUE(siege.run_until([&] { return visit.is_established; }, seconds(2)));
  Bytes guess;
  session::mf4::append_auth_token("i0000000000000000000000000000000000000000000000000000", guess);
  ASSERT_NE(visit.open(guess, true), nullptr);
  Bytes open;
  session::encode_flow_open(session::Dialect::mf_4_token, {.source = "tcp://127.0.0.1:9000"}, open);
  bool has_opened = false;
  for (int i = 0; i < 300 && !visit.is_closed(); ++i) {
    siege.tunnel.world.run_for(milliseconds(10));
    has_opened = has_opened || visit.open(open) != nullptr;
  }
  EXPECT_TRUE(has_opened);
  EXPECT_EQ(siege.tunnel.servers[0]->stats().sessions_refused, 1U);
  EXPECT_EQ(siege.tunnel.servers[0]->stats().flows_opened, 0U);
  EXPECT_TRUE(siege.tunnel.talkers->talkers().empty());
  EXPECT_TRUE(visit.is_closed());
}

}  // namespace
}  // namespace culvert::sim
