// Addresses of VPNs, which our own tunnel may carry, and those that the user leaves out.
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

LinkConfig link_of(Duration delay) {
  return {.bits_per_second = 20'000'000, .delay = delay};
}

// The second way is the better one.
struct TwoWays : TunnelWorld {
  explicit TwoWays(AddressUse use, std::uint64_t seed = 1) : TunnelWorld(seed, config()) {
    client_machine->set_use(second_interface->ip, use);
  }
  static TunnelWorldConfig config() {
    TunnelWorldConfig config;
    config.client_up = config.client_down = link_of(milliseconds(20));
    config.second_client_interface =
        SecondInterface{.up = link_of(milliseconds(5)), .down = link_of(milliseconds(5))};
    return config;
  }
  [[nodiscard]] IpAddress first_ip() const {
    return client_machine->addresses().front() == second_interface->ip
               ? client_machine->addresses().back()
               : client_machine->addresses().front();
  }
  // Where packets to anywhere leave.
  void route_by(const IpAddress& ip) {
    const IpAddress second = second_interface->ip;
    const IpAddress first = first_ip();
    client_machine->set_addresses(ip == second ? std::vector{second, first}
                                               : std::vector{first, second});
  }
  [[nodiscard]] IpAddress local() const { return client->paths().at(0).path.local.ip; }
  [[nodiscard]] std::uint64_t sent_by_second() const { return second_interface->up.stats().sent; }
};

TEST(SimInner, addresses_are_no_other_path) {
  for (const AddressUse use : {AddressUse::any, AddressUse::inner, AddressUse::never}) {
    TwoWays world(use);
    ASSERT_TRUE(world.connect());
    world.world.run_for(seconds(60));
    EXPECT_EQ(world.client->paths().size(), use == AddressUse::any ? 2U : 1U);
    EXPECT_EQ(world.sent_by_second() > 0, use == AddressUse::any);
  }
}

// A VPN comes up over the tunnel and takes all routes.
TEST(SimInner, addresses_are_not_moved_to) {
  for (const AddressUse use : {AddressUse::inner, AddressUse::never}) {
    TwoWays world(use);
    ASSERT_TRUE(world.connect());
    const IpAddress first = world.local();
    world.route_by(world.second_interface->ip);
    Talker& talker = world.call({.seed = 1, .download_bytes = 1'000'000});
    world.world.run_for(seconds(20));
    EXPECT_EQ(world.local(), first);
    EXPECT_EQ(world.client->stats().path_changes, 0U);
    EXPECT_EQ(talker.state(), Talker::State::finished) << world.report();
    EXPECT_EQ(world.sent_by_second(), 0U);
  }
}

// While the connection is silent it may still carry the VPN, so nothing is dialled through that.
// Once it is lost nothing is carried: whoever answers then does not answer through us.
TEST(SimInner, addresses_are_tried_when_nothing_is_carried) {
  for (const AddressUse use : {AddressUse::inner, AddressUse::never}) {
    TwoWays world(use);
    ASSERT_TRUE(world.connect());
    world.route_by(world.second_interface->ip);
    world.world.run_for(seconds(1));
    set_link_down(world, true);
    world.call({.seed = 1, .download_bytes = 1'000'000});  // which the server does not answer
    world.world.run_for(seconds(20));
    EXPECT_GT(world.client->stats().reconnect_attempts, 0U) << "it dials beside the connection";
    EXPECT_EQ(world.sent_by_second(), 0U);
    world.world.run_for(seconds(40));
    EXPECT_EQ(world.client->stats().is_connected, use == AddressUse::inner) << world.report();
    EXPECT_EQ(world.sent_by_second() > 0, use == AddressUse::inner);
    if (use == AddressUse::never) continue;
    EXPECT_EQ(world.local(), world.second_interface->ip);
    world.world.run_for(seconds(5));
    // The session has been there all along now, so it may be found there again.
    world.route_by(world.first_ip());
    world.route_by(world.second_interface->ip);
    world.world.run_for(seconds(5));
    EXPECT_TRUE(world.client->stats().is_connected);
  }
}

// The network goes away altogether, and the VPN has the only address that is left.
TEST(SimInner, addresses_are_dialled_from_where_the_only_other_is_gone) {
  TwoWays world(AddressUse::inner);
  ASSERT_TRUE(world.connect());
  const IpAddress first = world.local();
  world.client_machine->set_addresses({world.second_interface->ip});
  ASSERT_TRUE(world.world.run_until([&] { return world.client->stats().sessions_resumed > 0; },
                                    world.world.now() + seconds(2)))
      << world.report();
  EXPECT_EQ(world.local(), world.second_interface->ip);
  EXPECT_EQ(world.client->stats().path_changes, 0U) << "it dialled, and did not migrate";
  world.client_machine->set_addresses({first, world.second_interface->ip});
  world.world.run_for(seconds(5));
  EXPECT_EQ(world.local(), first);
}

TEST(SimInner, addresses_that_the_user_leaves_out_are_gone_round) {
  TwoWays world(AddressUse::never);
  world.route_by(world.second_interface->ip);
  EXPECT_TRUE(world.connect(seconds(1))) << world.report();
  EXPECT_EQ(world.sent_by_second(), 0U);

  TwoWays alone(AddressUse::never);
  alone.client_machine->set_addresses({alone.second_interface->ip});
  EXPECT_FALSE(alone.connect(seconds(1)));
  ASSERT_TRUE(alone.end_error) << "at once";
  EXPECT_NE(alone.end_error->text().find("--exclude-interface"), std::string::npos)
      << alone.end_error->text();
  EXPECT_EQ(alone.sent_by_second(), 0U);
}

}  // namespace
}  // namespace culvert::sim
