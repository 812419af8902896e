// The oracles bite: each is shown a world that does what it is there to find.
#include "tests/sim/oracles.h"

#include "tests/sim/stranger.h"
#include "tests/sim/tunnel_world.h"

#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <memory>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr LinkConfig kOracleLink{.delay = milliseconds(10)};

// Of the client's machine and the server's, that does nothing.
std::unique_ptr<TunnelWorld> connected_world(std::uint64_t seed) {
  TunnelWorldConfig config;
  for (LinkConfig* link : {&config.client_up, &config.client_down}) *link = kOracleLink;
  auto tunnel = std::make_unique<TunnelWorld>(seed, config);
  EXPECT_TRUE(tunnel->connect());
  return tunnel;
}

struct DeafStream final : StreamHandler {
  void on_stream_connected(Instant) override {}
  void on_stream_failed(Instant, const Error&) override {}
  void on_stream_readable(Instant) override {}
  void on_stream_writable(Instant) override {}
};
struct DeafUdp final : UdpHandler {
  void on_udp_readable(Instant) override {}
  void on_udp_writable(Instant) override {}
};

TEST(SimOracles, see_a_server_that_dials_what_it_may_not) {
  const auto tunnel = connected_world(7);
  DeafStream stream;
  DeafUdp udp;
  SimHost& server = *tunnel->server_hosts.front();
  const SocketAddress allowed{IpAddress::loopback(Family::v4), 9};
  const SocketAddress elsewhere{IpAddress::v4(0x0a000001), 9};
  EXPECT_TRUE(server.connect_stream(allowed, Purpose::flow, stream));
  EXPECT_TRUE(server.open_udp({.bind = {IpAddress::any(Family::v4), 0}, .remote = allowed}, udp));
  EXPECT_NONFATAL_FAILURE(EXPECT_TRUE(server.connect_stream(elsewhere, Purpose::flow, stream)),
                          "CULVERT_SIM_SEED=7 at 1.");
  EXPECT_TRUE(server.connect_stream(elsewhere, Purpose::flow, stream)) << "told once";
}

TEST(SimOracles, hold_a_server_to_the_policy_of_now) {
  for (const bool is_udp : {false, true}) {
    const auto tunnel = connected_world(1);
    peer::ServerPolicy policy = *tunnel->shared.policy;
    (is_udp ? policy.sources.udp : policy.sources.tcp) = {};
    tunnel->set_policy(std::make_shared<const peer::ServerPolicy>(policy));
    DeafStream stream;
    DeafUdp udp;
    SimHost& server = *tunnel->server_hosts.front();
    const SocketAddress target{IpAddress::loopback(Family::v4), 9};
    const UdpOptions options{.bind = {IpAddress::any(Family::v4), 0}, .remote = target};
    if (is_udp) {
      EXPECT_NONFATAL_FAILURE(EXPECT_TRUE(server.open_udp(options, udp)), "127.0.0.1:9");
    } else {
      EXPECT_NONFATAL_FAILURE(EXPECT_TRUE(server.connect_stream(target, Purpose::flow, stream)),
                              "dialled what is not allowed: 127.0.0.1:9");
    }
  }
  const auto tunnel = connected_world(1);
  DeafStream stream;
  EXPECT_NONFATAL_FAILURE(EXPECT_TRUE(tunnel->server_hosts.front()->connect_stream(
                              UnixPath{.path = "/run/x"}, Purpose::flow, stream)),
                          "/run/x");
}

// --- amplification -----------------------------------------------------------------------------

const SocketAddress kSomebody{IpAddress::v4(0xcb007105), 77};
constexpr Instant kEarly{seconds(1)};
constexpr Instant kLater{seconds(2)};

// One packet with a long header, `fill` bytes behind it; then nothing.
Bytes long_packet(unsigned type, std::string_view token, std::size_t fill,
                  std::uint32_t version = 1) {
  Bytes packet{static_cast<std::uint8_t>(0xc0U | type << 4)};
  for (int shift = 24; shift >= 0; shift -= 8) {
    packet.push_back(static_cast<std::uint8_t>(version >> shift));
  }
  packet.insert(packet.end(), {1, 0xaa, 1, 0xbb});  // both connection ids
  if (type == (version == 1 ? 0U : 1U)) {
    packet.push_back(static_cast<std::uint8_t>(token.size()));
    packet.insert(packet.end(), token.begin(), token.end());
  }
  packet.push_back(static_cast<std::uint8_t>(0x40U | fill >> 8));
  packet.push_back(static_cast<std::uint8_t>(fill));
  packet.resize(packet.size() + fill);
  return packet;
}

Bytes both(Bytes first, const Bytes& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Bytes retry_with(std::string_view token) {
  Bytes packet{0xf0, 0, 0, 0, 1, 1, 0xaa, 1, 0xbb};
  packet.insert(packet.end(), token.begin(), token.end());
  packet.resize(packet.size() + 16);
  return packet;
}

TEST(SimAmplification, is_more_than_three_times_what_came) {
  AmplificationWatch watch;
  watch.on_received(kSomebody, Bytes(1'000), kEarly);
  EXPECT_EQ(watch.on_sent(kEarly, kSomebody, Bytes(2'999)), "");
  EXPECT_EQ(watch.on_sent(kEarly, kSomebody, Bytes(1)), "");
  EXPECT_NE(watch.on_sent(kEarly, kSomebody, Bytes(1)), "");
  EXPECT_NE(watch.on_sent(kEarly, {kSomebody.ip, 78}, Bytes(1)), "") << "another address";
}

TEST(SimAmplification, ends_with_the_first_packet_that_shows_that_one_is_heard) {
  struct Case {
    const char* name;
    Bytes datagram;
    bool proves;
  };
  for (const std::uint32_t version : {1U, 0x6b3343cfU}) {
    const unsigned shift = version == 1 ? 0 : 1;
    const auto packet = [&](unsigned type, std::string_view token, std::size_t fill) {
      return long_packet((type + shift) & 3U, token, fill, version);
    };
    for (const Case& c :
         {Case{"initial", packet(0, "", 600), false}, Case{"0-RTT", packet(1, "", 30), false},
          Case{"initial, 0-RTT", both(packet(0, "", 300), packet(1, "", 30)), false},
          Case{"handshake", packet(2, "", 300), true},
          Case{"initial, handshake", both(packet(0, "", 99), packet(2, "", 9)), true},
          Case{"unknown token", packet(0, "guess", 300), false},
          Case{"short header", Bytes(40, 0x41), true}, Case{"no QUIC", Bytes(40, 0x01), false},
          Case{"cut off", Bytes(packet(0, "", 600)), false}}) {
      AmplificationWatch watch;
      watch.on_received(kSomebody, packet(0, "", 300), kEarly);
      watch.on_received(kSomebody, c.datagram, kEarly);
      EXPECT_FALSE(watch.is_validated(kSomebody)) << c.name << ": nothing was sent there yet";
      EXPECT_EQ(watch.on_sent(kEarly, kSomebody, Bytes(100)), "");
      watch.on_received(kSomebody, c.datagram, kEarly);
      EXPECT_FALSE(watch.is_validated(kSomebody)) << c.name << ": it had left before";
      watch.on_received(kSomebody, c.datagram, kLater);
      EXPECT_EQ(watch.is_validated(kSomebody), c.proves) << c.name;
      EXPECT_EQ(watch.on_sent(kLater, kSomebody, Bytes(60'000)).empty(), c.proves) << c.name;
    }
  }
}

TEST(SimAmplification, ends_with_a_token_that_went_to_that_address) {
  AmplificationWatch watch;
  const SocketAddress thief{IpAddress::v4(0xcb007106), 77};
  watch.on_received(kSomebody, long_packet(0, "", 300), kEarly);
  EXPECT_EQ(watch.on_sent(kEarly, kSomebody, retry_with("good")), "");
  watch.on_received(thief, long_packet(0, "good", 300), kLater);
  EXPECT_FALSE(watch.is_validated(thief));
  watch.on_received(kSomebody, long_packet(0, "bad", 300), kLater);
  EXPECT_FALSE(watch.is_validated(kSomebody));
  watch.on_received(kSomebody, long_packet(0, "good", 300), kLater);
  EXPECT_TRUE(watch.is_validated(kSomebody));
  // Next time from another port, with a token that came encrypted.
  watch.on_received({kSomebody.ip, 99}, long_packet(0, "ticket", 300), kLater);
  EXPECT_TRUE(watch.is_validated({kSomebody.ip, 99}));
}

TEST(SimAmplification, of_real_connections_is_none) {
  const auto tunnel = connected_world(1);
  EXPECT_TRUE(tunnel->amplification().is_validated(
      {tunnel->client_machine->addresses().front(), tunnel->client->local_address().port}));
}

TEST(SimOracles, see_a_server_that_floods_an_address) {
  const auto tunnel = connected_world(3);
  Machine& victim = tunnel->network.add_machine("victim", {kSomebody.ip}, kOracleLink, kOracleLink);
  // Too short to be answered by a stateless reset.
  victim.send({.from = kSomebody, .to = TunnelWorld::server_address(), .payload = Bytes(20)});
  tunnel->world.run_for(milliseconds(50));
  const auto flood = [&](std::size_t bytes) {
    tunnel->server_machine->send(
        {.from = TunnelWorld::server_address(), .to = kSomebody, .payload = Bytes(bytes)});
  };
  flood(60);
  EXPECT_NONFATAL_FAILURE(flood(1), "sent 20 bytes and got 61");
}

// --- memory ------------------------------------------------------------------------------------

TEST(SimOracles, see_a_process_that_holds_more_than_it_may) {
  const auto tunnel = connected_world(4);
  tunnel->world.run_for(seconds(10));
  tunnel->server_buffers().take_anyway(limits::kProcessBufferBytes + 1);
  EXPECT_NONFATAL_FAILURE(tunnel->world.run_for(seconds(10)),
                          "beyond its limit: buffers of the server 26");
}

TEST(SimOracles, see_the_first_counter_beyond_its_limit) {
  EXPECT_EQ(beyond_its_limit(std::array{Bounded{"a", 5, 5}, Bounded{"b", 0, 0}}), "");
  EXPECT_EQ(beyond_its_limit(std::array{Bounded{"a", 5, 5}, Bounded{"b", 1, 0}}),
            "beyond its limit: b 1, of 0");
}

// Lets everybody in, and counts nobody.
class BlindGate final : public session::SessionGate {
 public:
  Verdict admit(const Candidate&, const session::SessionLimits&) override { return {}; }
  void suspend(Instant, std::uint64_t) override {}
  void resume(std::uint64_t) override {}
  void leave(std::uint64_t) override {}
  [[nodiscard]] std::size_t size() const override { return 0; }
};

TEST(SimOracles, see_more_sessions_than_there_may_be) {
  TunnelWorldConfig config;
  config.max_sessions = 0;
  TunnelWorld tunnel(5, config);
  BlindGate gate;
  tunnel.shared.places = &gate;
  const auto run = [&] {
    EXPECT_TRUE(tunnel.connect());
    tunnel.world.run_for(seconds(10));
    tunnel.end_server();
  };
  EXPECT_NONFATAL_FAILURE(run(), "beyond its limit: sessions 1, of 0");
}

// --- quiet -------------------------------------------------------------------------------------

TEST(SimOracles, see_a_world_that_is_not_quiet) {
  const auto tunnel = connected_world(6);
  tunnel->world.run_for(seconds(120));
  EXPECT_GT(tunnel->quiet().highest_share(), 0.1) << "the bound is none where it is never near";
  EXPECT_LE(tunnel->quiet().highest_share(), 1.0);
  const auto chatter = [&] {
    for (int i = 0; i < 450; ++i) {
      tunnel->client_machine->send(
          {.from = {{}, 5}, .to = TunnelWorld::server_address(), .payload = Bytes(50, 0x41)});
      tunnel->world.run_for(milliseconds(200));
    }
  };
  EXPECT_NONFATAL_FAILURE(chatter(), "a quiet world is not quiet");
}

TEST(SimQuiet, begins_anew_whenever_something_happens) {
  QuietWatch watch(seconds(5));
  Instant now{seconds(1)};
  QuietWatch::Sample sample{.is_quiet = true, .connections = 1};
  const auto pass = [&](int length, std::uint64_t bytes) {
    std::string wrong;
    for (int i = 0; i < length && wrong.empty(); ++i) {
      now += seconds(1);
      sample.bytes += bytes;
      wrong = watch.on_sample(now, sample);
    }
    return wrong;
  };
  EXPECT_EQ(pass(100, 40), "");
  EXPECT_NE(pass(100, 80), "");
  watch = QuietWatch(seconds(5));
  for (int i = 0; i < 10; ++i) {
    ++sample.state;
    EXPECT_EQ(pass(38, 80), "") << "too short to judge";
  }
  sample.is_quiet = false;
  EXPECT_EQ(pass(200, 80), "");
  sample.is_quiet = true;
  EXPECT_NE(pass(60, 80), "");
  sample.connections = 2;
  EXPECT_EQ(pass(100, 80), "");
  EXPECT_NE(pass(100, 160), "");
}

}  // namespace
}  // namespace culvert::sim
