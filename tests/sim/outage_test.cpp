// What an outage costs: how soon a session goes on, and what it holds meanwhile.
#include "tests/sim/survival.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const IpAddress kLoopback = IpAddress::loopback(Family::v4);

TunnelWorldConfig config_of(Duration one_way, std::uint64_t bits_per_second) {
  TunnelWorldConfig config;
  for (LinkConfig* link : {&config.client_up, &config.client_down}) {
    link->bits_per_second = bits_per_second;
    link->delay = one_way;
  }
  return config;
}

void set_rate(TunnelWorld& tunnel, std::uint64_t bits_per_second) {
  tunnel.client_machine->uplink().bits_per_second = bits_per_second;
  tunnel.client_machine->downlink().bits_per_second = bits_per_second;
}

// The network is back, and the kernel says so.
void bring_back(TunnelWorld& tunnel) {
  set_link_down(tunnel, false);
  tunnel.client_machine->set_addresses(tunnel.client_machine->addresses());
}

// --- how soon ------------------------------------------------------------------------------------

// One end of a connection between programs that say a word now and then.
struct Talk final : StreamHandler, ListenerHandler {
  // Waits for the other one.
  Talk(SimHost& its_host, std::uint16_t port)
      : host(its_host),
        listener(*host.listen_stream(SocketAddress{kLoopback, port}, Purpose::listener, *this)) {}
  explicit Talk(SimHost& its_host) : host(its_host) {}
  void call(std::uint16_t port) {
    on_accept({}, *host.connect_stream(SocketAddress{kLoopback, port}, Purpose::flow, *this));
  }
  void on_accept(Instant, std::unique_ptr<StreamPort> accepted) override {
    stream = std::move(accepted);
    stream->set_handler(*this);
    stream->want_readable();
  }
  void on_stream_connected(Instant) override { stream->want_readable(); }
  void on_stream_failed(Instant, const Error& error) override { ADD_FAILURE() << error.text(); }
  void on_stream_writable(Instant) override {}
  void on_stream_readable(Instant now) override {
    std::array<std::uint8_t, 100> buffer{};
    const ByteSpan into(buffer);
    for (;;) {
      const IoResult result = stream->try_read(std::span(&into, 1));
      if (result.status == IoStatus::end) return;
      if (result.status != IoStatus::ok) break;
      heard.append(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(result.bytes));
      heard_at = now;
    }
    stream->want_readable();
  }
  void say(const std::string& word) {
    const Bytes bytes(word.begin(), word.end());
    const ByteView from(bytes);
    EXPECT_EQ(stream->try_write(std::span(&from, 1)).bytes, bytes.size());
  }

  SimHost& host;
  std::unique_ptr<ListenerPort> listener;
  std::unique_ptr<StreamPort> stream;
  std::string heard;
  Instant heard_at{};
};

// Whatever tries were under way or waiting when the network came back: the handshake of a new
// connection is all that lies between, and one round trip later both directions flow.
TEST(SimOutageFigures, is_over_one_round_trip_after_the_handshake_that_begins_at_once) {
  constexpr Duration kRoundTrip = milliseconds(100);
  constexpr Duration kOwnTime = milliseconds(5);  // packets at 100 Mbit/s, local connections
  std::vector<Duration> outages;
  for (Duration length = seconds(4); length < seconds(30); length += milliseconds(130)) {
    outages.push_back(length);
  }
  outages.push_back(seconds(45));  // the old connection is given up by then
  outages.push_back(seconds(58));
  for (const Duration length : outages) {
    SCOPED_TRACE(std::chrono::duration_cast<milliseconds>(length).count());
    TunnelWorldConfig config = config_of(kRoundTrip / 2, 100'000'000);
    config.tunnels.emplace_back("tcp://127.0.0.1:22>127.0.0.1:7022");
    TunnelWorld tunnel(1, config);
    ASSERT_TRUE(tunnel.connect());
    Talk there(*tunnel.server_hosts[0], 22);
    Talk here(*tunnel.client_host);
    here.call(7022);
    tunnel.world.run_for(seconds(1));
    here.say("hello ");
    tunnel.world.run_for(seconds(1));
    there.say("hello ");
    tunnel.world.run_for(seconds(1));
    ASSERT_EQ(there.heard + here.heard, "hello hello ");
    set_link_down(tunnel, true);
    here.say("again");  // so that the client misses an answer
    there.say("again");
    tunnel.world.run_for(length);
    ASSERT_EQ(there.heard + here.heard, "hello hello ");

    const Instant back = tunnel.world.now();
    bring_back(tunnel);
    // TLS takes one round trip; the client's proof and the server's consent another; what the
    // flows have to say is sent at once.
    ASSERT_TRUE(tunnel.world.run_until([&] { return tunnel.client->stats().sessions_resumed == 1; },
                                       back + seconds(20)))
        << tunnel.report();
    const Instant resumed = tunnel.world.now();
    EXPECT_LE(resumed - back, 3 * kRoundTrip + kOwnTime) << tunnel.report();
    tunnel.world.run_for(seconds(1));
    ASSERT_EQ(there.heard, "hello again");
    ASSERT_EQ(here.heard, "hello again");
    EXPECT_LE(there.heard_at - resumed, kRoundTrip / 2 + kOwnTime);
    EXPECT_LE(here.heard_at - resumed, kRoundTrip + kOwnTime);
    if (testing::Test::HasFailure()) return;
  }
}

// Two conversations over one tunnel each; a machine 50 ms away.
struct Conversations {
  static constexpr Duration kOneWay = milliseconds(50);

  Conversations() : tunnel(1, config()) {
    if (!tunnel.connect()) ADD_FAILURE() << tunnel.report();
    first_there.emplace(*tunnel.server_hosts[0], 22);
    second_there.emplace(*tunnel.server_hosts[0], 23);
    first_here.emplace(*tunnel.client_host);
    second_here.emplace(*tunnel.client_host);
    first_here->call(7022);
    second_here->call(7023);
    tunnel.world.run_for(seconds(1));
    for (Talk* talk : {&*first_here, &*second_here, &*first_there, &*second_there}) {
      talk->say("hello ");
    }
    tunnel.world.run_for(seconds(1));
  }
  static TunnelWorldConfig config() {
    TunnelWorldConfig config = config_of(kOneWay, 100'000'000);
    config.tunnels = {"tcp://127.0.0.1:22>127.0.0.1:7022", "tcp://127.0.0.1:23>127.0.0.1:7023"};
    return config;
  }
  // The server stands still and is missed; ends when it goes on.
  void stop_server(Duration length) {
    tunnel.stop_server(length);
    second_here->say("there?");
    tunnel.world.run_for(length);
  }

  TunnelWorld tunnel;
  std::optional<Talk> first_there;
  std::optional<Talk> second_there;
  std::optional<Talk> first_here;
  std::optional<Talk> second_here;
};

// The client does not run while the last bytes of a flow and the end of their connection
// arrive, so that it finds them together.
TEST(SimOutage, loses_nothing_that_came_just_before_the_connection_ended) {
  Conversations talks;
  World& world = talks.tunnel.world;
  talks.first_here->stream->shutdown_write();
  world.run_for(seconds(1));
  talks.stop_server(milliseconds(3100));
  world.run_for(3 * Conversations::kOneWay + milliseconds(5));  // the proof is on its way
  talks.tunnel.stop_client(seconds(1));
  talks.first_there->say("and goodbye");
  talks.first_there->stream->shutdown_write();
  ASSERT_TRUE(world.run_until([&] { return talks.tunnel.client->stats().sessions_resumed == 1; },
                              world.now() + seconds(5)))
      << talks.tunnel.report();
  world.run_for(seconds(2));
  EXPECT_EQ(talks.first_here->heard, "hello and goodbye") << talks.tunnel.report();
  EXPECT_EQ(talks.second_there->heard, "hello there?");
}

// The handshake of the new connection waits for the server to go on, so that the client takes
// the round trip for as long as that. It must not send as if it were.
TEST(SimOutage, of_a_stopped_server_leaves_no_slow_session) {
  TunnelWorldConfig config = config_of(milliseconds(5), 100'000'000);
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  Talker& talker = tunnel.call({.seed = 1, .upload_bytes = 20'000'000});
  tunnel.world.run_for(milliseconds(500));
  const std::uint64_t sent = talker.sent();
  ASSERT_LT(sent, 10'000'000U);
  tunnel.stop_server(milliseconds(5'200));
  tunnel.world.run_for(milliseconds(5'200));
  const Instant awake = tunnel.world.now();
  ASSERT_TRUE(tunnel.world.run_until([&] { return talker.state() != Talker::State::running; },
                                     awake + seconds(60)));
  EXPECT_EQ(talker.state(), Talker::State::finished);
  EXPECT_EQ(tunnel.client->stats().sessions_resumed, 1U);
  // 100 Mbit/s carry the rest in 1.05 s.
  EXPECT_LE(tunnel.world.now() - awake, milliseconds(1'500)) << tunnel.report();
}

// --- what is held --------------------------------------------------------------------------------

// More flows than fit with a full buffer each, in one direction.
void expect_bounded(FlowPlan plan) {
  constexpr std::size_t kFlows = 90;
  TunnelWorld tunnel(1, config_of(milliseconds(5), 4'000'000));
  ASSERT_TRUE(tunnel.connect());
  for (std::size_t i = 0; i < kFlows; ++i) {
    plan.seed = i;
    tunnel.call(plan);
  }
  tunnel.world.run_for(seconds(10));
  set_link_down(tunnel, true);
  tunnel.world.run_for(seconds(45));
  std::uint64_t held = 0;
  for (std::size_t i = 0; i < kFlows; ++i) {
    const Talker& caller = *tunnel.callers[i];
    const Talker& callee = *tunnel.talkers->talkers()[i];
    EXPECT_EQ(caller.state(), Talker::State::running);
    held += caller.sent() - callee.received() + callee.sent() - caller.received();
  }
  // Of which the buffers of the local connections at both ends hold much.
  EXPECT_LE(held, limits::kSessionBufferBytes + 2 * kFlows * (std::size_t{512} << 10));
  EXPECT_EQ(tunnel.client->stats().flows_dropped, 0U);
  EXPECT_EQ(tunnel.servers[0]->stats().flows_dropped, 0U);

  set_rate(tunnel, 1'000'000'000);
  bring_back(tunnel);
  ASSERT_TRUE(tunnel.world.run_until(
      [&] {
        return std::ranges::all_of(tunnel.callers, is_over) &&
               std::ranges::all_of(tunnel.talkers->talkers(), is_over);
      },
      tunnel.world.now() + seconds(60)));
  for (const auto& talker : tunnel.callers) {
    EXPECT_FALSE(talker->has_wrong_bytes() || talker->was_cut_short()) << talker->describe();
    EXPECT_EQ(talker->state(), Talker::State::finished) << talker->describe();
  }
  EXPECT_EQ(tunnel.client->stats().flows_active, 0U);
  EXPECT_EQ(tunnel.servers[0]->stats().flows_active, 0U);
}

TEST(SimOutage, makes_a_client_hold_no_more_than_its_bound) {
  expect_bounded({.upload_bytes = 3'000'000});
}

TEST(SimOutage, makes_a_server_hold_no_more_than_its_bound) {
  expect_bounded({.download_bytes = 3'000'000});
}

// A program that goes on writing meets back-pressure, not our memory.
TEST(SimOutage, stops_a_flow_that_fills_its_buffer) {
  TunnelWorldConfig config = config_of(milliseconds(5), 10'000'000);
  TunnelWorld tunnel(1, config);
  ASSERT_TRUE(tunnel.connect());
  Talker& caller = tunnel.call({.seed = 1, .upload_bytes = 100'000'000});
  tunnel.world.run_for(seconds(2));
  set_link_down(tunnel, true);
  tunnel.world.run_for(seconds(20));
  const std::uint64_t sent = caller.sent();
  tunnel.world.run_for(seconds(20));
  EXPECT_EQ(caller.sent(), sent);
  const std::uint64_t held = sent - tunnel.talkers->talkers().at(0)->received();
  EXPECT_GT(held, limits::kStreamWindowStart);
  // The buffers of the two local connections hold some as well.
  EXPECT_LE(held, limits::kSendBufferMin + 3 * config.client_knobs.stream_buffer_bytes);
  EXPECT_EQ(caller.state(), Talker::State::running);
}

// --- UDP -----------------------------------------------------------------------------------------

// A socket that keeps what comes to it, and whom it came from.
struct UdpSocket final : UdpHandler {
  UdpSocket(SimHost& host, std::uint16_t local_port)
      : port(*host.open_udp({.bind = {kLoopback, local_port}}, *this)) {}
  void on_udp_readable(Instant) override {
    std::array<RxDatagram, 8> batch;
    while (const std::size_t count = port->recv_batch(batch)) {
      for (const RxDatagram& rx : std::span(batch).first(count)) {
        for (std::size_t at = 0; at < rx.bytes.size(); at += rx.segment_size) {
          const ByteView one =
              rx.bytes.subspan(at, std::min<std::size_t>(rx.segment_size, rx.bytes.size() - at));
          on_datagram(rx.path.remote, {one.begin(), one.end()});
        }
      }
    }
  }
  void on_udp_writable(Instant) override {}
  void on_datagram(const SocketAddress& from, std::string text) {
    senders.insert(from);
    if (is_echo) send(from, text);
    received.push_back(std::move(text));
  }
  void send(const SocketAddress& to, const std::string& text) {
    const Bytes bytes(text.begin(), text.end());
    const TxBatch batch{.path = {.local = {}, .remote = to},
                        .segment_size = static_cast<std::uint16_t>(bytes.size()),
                        .bytes = bytes};
    EXPECT_EQ(port->send_batch(std::span(&batch, 1)).batches_taken, 1U);
  }

  std::unique_ptr<UdpPort> port;
  std::set<SocketAddress> senders;
  std::vector<std::string> received;
  bool is_echo = false;
};

TEST(SimOutage, leaves_udp_flows_with_their_sockets_and_senders) {
  const SocketAddress entrance{kLoopback, 7053};
  for (const bool is_rebound : {false, true}) {
    TunnelWorldConfig config = config_of(milliseconds(10), 10'000'000);
    config.tunnels.emplace_back("udp://127.0.0.1:53>127.0.0.1:7053");
    config.udp_flow_idle = seconds(300);
    config.has_nat = is_rebound;
    TunnelWorld tunnel(1, config);
    ASSERT_TRUE(tunnel.connect());
    UdpSocket target(*tunnel.server_hosts[0], 53);
    target.is_echo = true;
    std::vector<std::unique_ptr<UdpSocket>> senders;
    for (int i = 0; i < 20; ++i) {
      senders.push_back(std::make_unique<UdpSocket>(*tunnel.client_host, 0));
    }
    const auto ask_all = [&](const std::string& question) {
      for (std::size_t i = 0; i < senders.size(); ++i) {
        senders[i]->received.clear();
        senders[i]->send(entrance, question + std::to_string(i));
      }
    };
    const auto expect_answers = [&](const std::string& question) {
      for (std::size_t i = 0; i < senders.size(); ++i) {
        EXPECT_EQ(senders[i]->received, std::vector{question + std::to_string(i)});
        EXPECT_EQ(senders[i]->senders, std::set{entrance});
      }
    };
    ask_all("before ");
    tunnel.world.run_for(seconds(1));
    expect_answers("before ");
    ASSERT_EQ(target.senders.size(), senders.size());

    set_link_down(tunnel, true);
    tunnel.world.run_for(seconds(1));
    ask_all("lost ");  // as UDP may be
    if (is_rebound) tunnel.nat->forget_mappings();
    tunnel.world.run_for(seconds(40));
    ASSERT_FALSE(tunnel.client->stats().is_connected);
    bring_back(tunnel);
    ASSERT_TRUE(tunnel.world.run_until([&] { return tunnel.client->stats().sessions_resumed == 1; },
                                       tunnel.world.now() + seconds(20)));
    tunnel.world.run_for(seconds(1));
    ask_all("after ");
    tunnel.world.run_for(seconds(1));
    expect_answers("after ");
    EXPECT_EQ(target.senders.size(), senders.size()) << "no flow got another socket";
    EXPECT_EQ(tunnel.client->stats().flows_active, senders.size());
    EXPECT_EQ(tunnel.servers[0]->stats().flows_active, senders.size());
    // What the target says of its own accord finds the right sender as well.
    for (const auto& sender : senders) sender->received.clear();
    for (const SocketAddress& flow : target.senders) target.send(flow, flow.text());
    tunnel.world.run_for(seconds(1));
    std::set<std::string> heard;
    for (const auto& sender : senders) {
      ASSERT_EQ(sender->received.size(), 1U);
      heard.insert(sender->received[0]);
    }
    EXPECT_EQ(heard.size(), senders.size());
  }
}

}  // namespace
}  // namespace culvert::sim
