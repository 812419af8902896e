// A server whose policy changes while it serves.
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest.h>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// A client with one long flow under way.
struct Served {
  explicit Served(TunnelWorldConfig config = {}) : world(1, slow(std::move(config))) {
    EXPECT_TRUE(world.connect());
    caller = &world.call({.seed = 3, .upload_bytes = 2'000'000, .download_bytes = 2'000'000});
    EXPECT_TRUE(world.world.run_until([&] { return caller->received() > 50'000; },
                                      world.world.now() + seconds(10)));
    policy = *world.shared.policy;
  }
  static TunnelWorldConfig slow(TunnelWorldConfig config) {
    config.client_down.bits_per_second = 5'000'000;
    config.client_down.delay = milliseconds(5);
    return config;
  }
  void apply() { world.set_policy(std::make_shared<const peer::ServerPolicy>(policy)); }
  void set_link_up(bool is_up) {
    world.client_machine->uplink().is_down = !is_up;
    world.client_machine->downlink().is_down = !is_up;
  }
  void finish() {
    world.world.run_until([&] { return caller->state() != Talker::State::running; },
                          world.world.now() + seconds(60));
  }
  [[nodiscard]] std::uint64_t sessions() const {
    std::uint64_t sum = 0;
    for (const auto& server : world.servers) sum += server->stats().sessions_active;
    return sum;
  }

  TunnelWorld world;
  Talker* caller = nullptr;
  peer::ServerPolicy policy;
};

TEST(SimPolicy, that_still_allows_all_disturbs_nothing) {
  Served served;
  SeededRng rng(9);
  ASSERT_TRUE(served.policy.auth.tokens.add(session::generate_token(rng)));
  served.policy.max_sessions = 1;
  served.apply();
  served.finish();
  EXPECT_EQ(served.caller->state(), Talker::State::finished) << served.world.report();
  EXPECT_FALSE(served.caller->has_wrong_bytes());
}

TEST(SimPolicy, without_a_credential_ends_its_sessions_with_a_reason) {
  for (const bool uses_key : {false, true}) {
    for (const unsigned workers : {1U, 3U}) {
      TunnelWorldConfig config;
      config.uses_key = uses_key;
      config.server_workers = workers;
      Served served(config);
      SeededRng rng(9);
      served.policy.auth = {};
      ASSERT_TRUE(served.policy.auth.tokens.add(session::generate_token(rng)));
      served.apply();
      served.finish();
      served.world.world.run_for(seconds(1));
      EXPECT_NE(served.caller->state(), Talker::State::finished);
      ASSERT_TRUE(served.world.end_error);
      EXPECT_EQ(served.world.end_error->kind, ErrorKind::authentication);
      EXPECT_NE(served.world.end_error->what.find("the credential was revoked"), std::string::npos)
          << served.world.end_error->text();
      EXPECT_EQ(served.sessions(), 0U);
    }
  }
}

// At whatever moment of the handshake it comes: nobody slips through with the old one.
TEST(SimPolicy, without_a_credential_stops_a_client_that_is_just_logging_in) {
  for (int step = 0; step < 60; ++step) {
    TunnelWorldConfig config;
    config.client_up.delay = config.client_down.delay = milliseconds(10);
    TunnelWorld tunnel(1, config);
    tunnel.start_client();
    tunnel.world.run_for(milliseconds(2) * step);
    peer::ServerPolicy policy = *tunnel.shared.policy;
    policy.auth.tokens = {};
    tunnel.set_policy(std::make_shared<const peer::ServerPolicy>(std::move(policy)));
    tunnel.world.run_for(seconds(5));
    ASSERT_TRUE(tunnel.is_finished) << step;
    ASSERT_TRUE(tunnel.end_error) << step;
    EXPECT_EQ(tunnel.end_error->kind, ErrorKind::authentication) << tunnel.end_error->text();
    EXPECT_EQ(tunnel.servers[0]->stats().sessions_active, 0U) << step;
  }
}

// A session without a connection is no safe place for a credential that is gone.
TEST(SimPolicy, without_a_credential_ends_sessions_that_wait_for_their_client) {
  for (const bool keeps : {false, true}) {
    Served served;
    served.set_link_up(false);
    served.world.world.run_for(seconds(45));  // both ends have given the connection up
    ASSERT_EQ(served.world.servers[0]->stats().sessions_suspended, 1U);
    SeededRng rng(9);
    served.policy.auth = {};
    ASSERT_TRUE(served.policy.auth.tokens.add(session::generate_token(rng)));
    served.policy.keeps_revoked = keeps;
    served.apply();
    EXPECT_EQ(served.sessions(), keeps ? 1U : 0U);
    EXPECT_EQ(served.world.servers[0]->stats().sessions_suspended, keeps ? 1U : 0U);
    served.set_link_up(true);
    served.finish();
    EXPECT_EQ(served.caller->state() == Talker::State::finished, keeps) << served.world.report();
    EXPECT_EQ(served.world.is_finished, !keeps);
    if (!keeps) {
      EXPECT_EQ(served.world.end_error->kind, ErrorKind::authentication);
    }
  }
}

TEST(SimPolicy, that_allows_a_source_no_longer_ends_flows_that_wait_for_their_client) {
  Served served;
  served.set_link_up(false);
  served.world.world.run_for(seconds(45));
  served.policy.sources.tcp = {};
  served.apply();
  served.set_link_up(true);
  served.finish();
  EXPECT_EQ(served.caller->state(), Talker::State::reset);
  EXPECT_EQ(served.world.client->stats().sessions_resumed, 1U);
  EXPECT_FALSE(served.world.is_finished) << "the session goes on";
}

TEST(SimPolicy, may_keep_what_it_revokes) {
  Served served;
  SeededRng rng(9);
  served.policy.auth = {};
  ASSERT_TRUE(served.policy.auth.tokens.add(session::generate_token(rng)));
  served.policy.sources.tcp = {};
  served.policy.keeps_revoked = true;
  served.apply();
  served.finish();
  EXPECT_EQ(served.caller->state(), Talker::State::finished) << served.world.report();
  EXPECT_EQ(served.sessions(), 1U);
}

TEST(SimPolicy, that_allows_a_source_no_longer_ends_its_flows_only) {
  Served served;
  served.policy.sources.tcp = {};
  ASSERT_TRUE(served.policy.sources.tcp.add("127.0.0.1/32:1"));
  served.apply();
  served.finish();
  EXPECT_EQ(served.caller->state(), Talker::State::reset);
  EXPECT_FALSE(served.world.is_finished) << "the session goes on";
  EXPECT_EQ(served.sessions(), 1U);
  EXPECT_EQ(served.world.servers[0]->stats().flows_active, 0U);
  // New flows meet the new list, and the old one when it comes back.
  Talker& refused = served.world.call({.seed = 4, .download_bytes = 100});
  served.world.world.run_for(seconds(1));
  EXPECT_EQ(refused.state(), Talker::State::reset);
  served.policy = *served.world.shared.policy;
  served.apply();
  Talker& allowed = served.world.call({.seed = 4, .download_bytes = 100});
  served.world.world.run_for(seconds(1));
  EXPECT_EQ(allowed.state(), Talker::State::finished);
}

TEST(SimPolicy, with_a_lower_flow_limit_refuses_only_new_flows) {
  Served served;
  served.policy.max_flows_per_session = 1;
  served.apply();
  Talker& more = served.world.call({.seed = 4, .download_bytes = 100});
  served.world.world.run_for(seconds(1));
  EXPECT_EQ(more.state(), Talker::State::reset);
  served.finish();
  EXPECT_EQ(served.caller->state(), Talker::State::finished) << served.world.report();
}

}  // namespace
}  // namespace culvert::sim
