#include "sim/tcp_end.h"

#include "sim/sim_host.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// One end's program: reads all that comes, and notes what happens.
struct Reader final : StreamHandler {
  void on_stream_connected(Instant now) override {
    connected_at = now;
    port->want_readable();
  }
  void on_stream_failed(Instant, const Error& error) override { failure = error; }
  void on_stream_readable(Instant) override {
    std::array<std::uint8_t, 64> block;
    const std::array into{ByteSpan(block)};
    for (;;) {
      const IoResult result = port->try_read(into);
      text += as_text(ByteView(block).first(result.bytes));
      last = result.status;
      if (result.status == IoStatus::would_block) return port->want_readable();
      if (result.status != IoStatus::ok) return;
    }
  }
  void on_stream_writable(Instant) override { ++writable; }
  IoResult write(std::string_view bytes) const {
    const std::array from{as_bytes(bytes)};
    return port->try_write(from);
  }

  std::unique_ptr<StreamPort> port;
  std::string text;
  IoStatus last = IoStatus::would_block;
  std::optional<Instant> connected_at;
  std::optional<Error> failure;
  int writable = 0;
};

struct Deaf final : StreamHandler {
  void on_stream_connected(Instant) override {}
  void on_stream_failed(Instant, const Error&) override {}
  void on_stream_readable(Instant) override {}
  void on_stream_writable(Instant) override {}
};

struct Acceptor final : ListenerHandler {
  void on_accept(Instant, std::unique_ptr<StreamPort> stream) override {
    reader.port = std::move(stream);
    reader.port->set_handler(reader);
    reader.port->want_readable();
  }
  Reader reader;
};

// A machine that connects to another, 5 ms away in one direction and 20 ms in the other.
struct TcpTest : testing::Test {
  TcpTest() {
    listener =
        *server_host.listen_stream(SocketAddress{ip("192.0.2.2"), 80}, Purpose::process, acceptor);
  }
  static IpAddress ip(const char* text) { return *IpAddress::parse(text); }
  void connect(std::uint16_t port = 80) {
    caller.port =
        *client_host.connect_stream(SocketAddress{ip("192.0.2.2"), port}, Purpose::process, caller);
  }
  void establish() {
    connect();
    world.run_for(milliseconds(25));
    ASSERT_TRUE(caller.connected_at);
    ASSERT_TRUE(acceptor.reader.port);
  }
  void set_down(bool is_down) { client.uplink().is_down = client.downlink().is_down = is_down; }

  World world{1};
  Network network{world};
  Machine& client = network.add_machine("client", {ip("192.0.2.1")}, {.delay = milliseconds(2)},
                                        {.delay = milliseconds(15)});
  Machine& server = network.add_machine("server", {ip("192.0.2.2")}, {.delay = milliseconds(5)},
                                        {.delay = milliseconds(3)});
  SimHost client_host{client, {.stream_buffer_bytes = 100}};
  SimHost server_host{server, {}};
  Acceptor acceptor;
  Reader caller;
  std::unique_ptr<ListenerPort> listener;
};

TEST_F(TcpTest, takes_the_time_of_the_links_in_each_direction) {
  const Instant start = world.now();
  establish();
  EXPECT_EQ(*caller.connected_at - start, milliseconds(5 + 20));
  ASSERT_TRUE(caller.port->ends());
  EXPECT_EQ(caller.port->ends()->remote, (SocketAddress{ip("192.0.2.2"), 80}));
  EXPECT_EQ(acceptor.reader.port->ends()->remote, caller.port->ends()->local);

  EXPECT_EQ(caller.write("hello").bytes, 5U);
  EXPECT_EQ(acceptor.reader.write("you").bytes, 3U);
  world.run_for(milliseconds(5) - Duration(1));
  EXPECT_EQ(acceptor.reader.text, "");
  world.run_for(Duration(1));
  EXPECT_EQ(acceptor.reader.text, "hello");
  EXPECT_EQ(caller.text, "");
  world.run_for(milliseconds(15));
  EXPECT_EQ(caller.text, "you");
}

TEST_F(TcpTest, is_refused_after_a_round_trip_where_nobody_listens) {
  connect(81);
  world.run_for(milliseconds(24));
  EXPECT_FALSE(caller.failure);
  world.run_for(milliseconds(1));
  ASSERT_TRUE(caller.failure);
  EXPECT_EQ(caller.failure->kind, ErrorKind::unreachable);
  EXPECT_EQ(caller.failure->text(), "192.0.2.2:81: connection refused");
}

TEST_F(TcpTest, connects_when_the_link_is_back_and_gives_up_after_two_minutes) {
  set_down(true);
  connect();
  world.run_for(seconds(3));
  EXPECT_FALSE(caller.connected_at);
  set_down(false);
  world.run_for(seconds(5));
  EXPECT_TRUE(caller.connected_at);
  EXPECT_FALSE(caller.failure);

  Reader second;
  set_down(true);
  second.port =
      *client_host.connect_stream(SocketAddress{ip("192.0.2.2"), 80}, Purpose::process, second);
  world.run_for(minutes(5));
  ASSERT_TRUE(second.failure);
  EXPECT_EQ(second.failure->what, "connection timed out");
}

TEST_F(TcpTest, keeps_bytes_and_their_order_while_the_peer_is_out_of_reach) {
  establish();
  EXPECT_EQ(caller.write("one ").bytes, 4U);
  set_down(true);
  EXPECT_EQ(caller.write("two ").bytes, 4U);
  EXPECT_EQ(caller.write(std::string(200, 'x')).bytes, 92U) << "the buffer has 100";
  EXPECT_EQ(caller.write("y").status, IoStatus::would_block);
  caller.port->want_writable();
  world.run_for(seconds(20));
  EXPECT_EQ(acceptor.reader.text, "");
  EXPECT_EQ(caller.writable, 0);
  set_down(false);
  world.run_for(seconds(30));
  EXPECT_EQ(acceptor.reader.text, "one two " + std::string(92, 'x'));
  EXPECT_EQ(caller.writable, 1);
}

TEST_F(TcpTest, gives_up_after_a_quarter_of_an_hour) {
  establish();
  set_down(true);
  EXPECT_EQ(caller.write("lost").bytes, 4U);
  world.run_for(minutes(14));
  EXPECT_EQ(caller.last, IoStatus::would_block);
  world.run_for(minutes(5));
  EXPECT_EQ(caller.last, IoStatus::failed);
  EXPECT_EQ(acceptor.reader.last, IoStatus::would_block)
      << "it has sent nothing, and knows nothing";
}

TEST_F(TcpTest, closes_each_direction_by_itself) {
  establish();
  EXPECT_EQ(caller.write("bye").bytes, 3U);
  caller.port->shutdown_write();
  EXPECT_EQ(caller.write("more").status, IoStatus::failed);
  world.run_for(milliseconds(30));
  EXPECT_EQ(acceptor.reader.text, "bye");
  EXPECT_EQ(acceptor.reader.last, IoStatus::end);
  EXPECT_EQ(acceptor.reader.write("later").bytes, 5U);
  acceptor.reader.port.reset();
  world.run_for(milliseconds(30));
  EXPECT_EQ(caller.text, "later");
  EXPECT_EQ(caller.last, IoStatus::end);
}

TEST_F(TcpTest, tells_a_reset_after_what_came_before_it) {
  establish();
  EXPECT_EQ(acceptor.reader.write("before").bytes, 6U);
  acceptor.reader.port->reset();
  EXPECT_EQ(acceptor.reader.write("x").status, IoStatus::failed);
  world.run_for(milliseconds(30));
  EXPECT_EQ(caller.text, "before");
  EXPECT_EQ(caller.last, IoStatus::failed);
}

TEST_F(TcpTest, tells_a_reset_to_an_end_that_waits_for_nothing) {
  establish();
  world.run_for(milliseconds(1));
  acceptor.reader.on_stream_readable(world.now());  // has nothing; wants more
  Reader idle;
  acceptor.reader.port->set_handler(idle);
  idle.port = std::move(acceptor.reader.port);
  idle.on_stream_readable(world.now());
  caller.port->reset();
  world.run_for(milliseconds(30));
  EXPECT_EQ(idle.last, IoStatus::failed);
}

TEST_F(TcpTest, closing_with_unread_input_resets_the_peer) {
  establish();
  Deaf deaf;
  acceptor.reader.port->set_handler(deaf);
  EXPECT_EQ(caller.write("unread").bytes, 6U);
  world.run_for(milliseconds(6));
  acceptor.reader.port.reset();
  world.run_for(milliseconds(20));
  EXPECT_EQ(caller.last, IoStatus::failed);
}

// A server that lost its power, or a router its table: the other end waits for ever, unless it
// sends.
TEST_F(TcpTest, is_half_open_when_the_peer_forgets_it) {
  establish();
  dynamic_cast<TcpEnd&>(*acceptor.reader.port).vanish();
  world.run_for(std::chrono::hours(1));
  EXPECT_EQ(caller.last, IoStatus::would_block);
  EXPECT_EQ(caller.write("are you there?").bytes, 14U);
  world.run_for(milliseconds(24));
  EXPECT_EQ(caller.last, IoStatus::would_block);
  world.run_for(milliseconds(1));
  EXPECT_EQ(caller.last, IoStatus::failed);
}

// As above, but the reset does not come through: it waits until it gives up.
TEST_F(TcpTest, a_reset_that_is_lost_is_not_sent_again) {
  establish();
  set_down(true);
  acceptor.reader.port->reset();
  world.run_for(seconds(10));
  set_down(false);
  world.run_for(minutes(10));
  EXPECT_EQ(caller.last, IoStatus::would_block);
  EXPECT_EQ(caller.write("x").bytes, 1U);
  world.run_for(milliseconds(30));
  EXPECT_EQ(caller.last, IoStatus::failed);
}

// --- over links with a rate, or with losses ----------------------------------------------------

// Writes so many numbered bytes as fast as it may, and then the end.
struct Bulk final : StreamHandler {
  explicit Bulk(std::size_t the_bytes) : bytes(the_bytes) {}
  void on_stream_connected(Instant) override { push(); }
  void on_stream_failed(Instant, const Error& error) override { failure = error; }
  void on_stream_readable(Instant) override {}
  void on_stream_writable(Instant) override { push(); }
  void push() {
    while (written < bytes) {
      Bytes block(std::min<std::size_t>(bytes - written, 10'000));
      for (std::size_t i = 0; i < block.size(); ++i) block[i] = number(written + i);
      const std::array from{ByteView(block)};
      const IoResult result = port->try_write(from);
      if (result.status == IoStatus::would_block) return port->want_writable();
      if (result.status != IoStatus::ok) return;
      written += result.bytes;
    }
    port->shutdown_write();
  }
  static std::uint8_t number(std::size_t at) {
    return static_cast<std::uint8_t>(at * 7 + at / 251);
  }

  std::size_t bytes;
  std::size_t written = 0;
  std::unique_ptr<StreamPort> port;
  std::optional<Error> failure;
};

// Takes them; notes the longest time without any.
struct Sink final : StreamHandler, ListenerHandler {
  explicit Sink(World& the_world) : world(the_world) {}
  void on_accept(Instant now, std::unique_ptr<StreamPort> stream) override {
    port = std::move(stream);
    port->set_handler(*this);
    port->want_readable();
    last = now;
  }
  void on_stream_connected(Instant) override {}
  void on_stream_failed(Instant, const Error&) override {}
  void on_stream_writable(Instant) override {}
  void on_stream_readable(Instant now) override {
    longest = std::max(longest, now - last);
    last = now;
    std::array<std::uint8_t, 4'096> block;
    const std::array into{ByteSpan(block)};
    for (;;) {
      const IoResult result = port->try_read(into);
      for (std::size_t i = 0; i < result.bytes; ++i) {
        are_right = are_right && block[i] == Bulk::number(received + i);
      }
      received += result.bytes;
      if (result.status == IoStatus::would_block) return port->want_readable();
      if (result.status != IoStatus::ok) {
        has_ended = result.status == IoStatus::end;
        return;
      }
    }
  }
  World& world;
  std::unique_ptr<StreamPort> port;
  std::size_t received = 0;
  bool are_right = true;
  bool has_ended = false;
  Instant last{};
  Duration longest{};
};

// Two machines 20 ms apart; what the client sends passes a link of 8 Mbit/s between two routers.
struct ShapedTcpTest : testing::Test {
  ShapedTcpTest() {
    const Network::Joint joint = network.put_behind(
        home, network.core(), {"192.0.2.0/24"},
        LinkConfig{.bits_per_second = 8'000'000, .delay = milliseconds(10), .queue_bytes = 20'000},
        LinkConfig{.delay = milliseconds(10)});
    narrow = &*joint.first.link;
    client.attach(home);
    listener = *server_host.listen_stream(address, Purpose::process, sink);
  }
  void start(Bulk& bulk) {
    bulk.port = *client_host.connect_stream(address, Purpose::process, bulk);
  }
  bool finish(Duration within) {
    return world.run_until([&] { return sink.has_ended; }, world.now() + within);
  }
  const SocketAddress address{*IpAddress::parse("198.51.100.1"), 80};
  World world{1};
  Network network{world};
  Router& home = network.add_router({.name = "home"});
  Machine& client = network.add_machine("client", {*IpAddress::parse("192.0.2.1")});
  Machine& server = network.add_machine("server", {address.ip});
  SimHost client_host{client, {}};
  SimHost server_host{server, {}};
  Sink sink{world};
  std::unique_ptr<ListenerPort> listener;
  Link* narrow = nullptr;
};

TEST_F(ShapedTcpTest, gets_the_rate_of_the_narrowest_link) {
  Bulk bulk(2'000'000);
  const Instant start_time = world.now();
  start(bulk);
  ASSERT_TRUE(finish(seconds(10)));
  EXPECT_EQ(sink.received, bulk.bytes);
  EXPECT_TRUE(sink.are_right);
  const double rate = 2'000'000 / in_seconds(world.now() - start_time);
  EXPECT_LT(rate, 1'000'000);
  EXPECT_GT(rate, 850'000);
  EXPECT_GT(narrow->stats().queue_drops, 0U) << "it fills the queue, and learns by that";
}

TEST_F(ShapedTcpTest, leaves_others_their_part_of_the_link) {
  Bulk bulk(2'000'000);
  start(bulk);
  // As much again in datagrams as the link has room for.
  std::size_t sent = 0;
  for (; sent < 800 && !sink.has_ended; ++sent) {
    client.send({.from = {{}, 9}, .to = {address.ip, 9}, .payload = Bytes(1'000 - kHeaderBytes)});
    world.run_for(milliseconds(2));
  }
  EXPECT_LT(sink.received, 1'000'000U) << "half of 1.6 s, and not more";
  EXPECT_GT(sink.received, 400'000U);
}

TEST_F(ShapedTcpTest, stalls_and_goes_on_where_segments_are_lost) {
  narrow->config().loss = 0.02;
  narrow->config().bits_per_second = 0;
  Bulk bulk(1'000'000);
  start(bulk);
  ASSERT_TRUE(finish(seconds(60)));
  EXPECT_EQ(sink.received, bulk.bytes);
  EXPECT_TRUE(sink.are_right);
  EXPECT_GT(narrow->stats().lost, 5U);
  EXPECT_GE(sink.longest, milliseconds(20)) << "a round trip, at least, without anything";
  EXPECT_LT(sink.longest, seconds(5));
}

TEST_F(ShapedTcpTest, waits_out_a_link_that_is_down_and_gives_up_in_the_end) {
  Bulk bulk(1'000'000);
  start(bulk);
  world.run_for(milliseconds(500));
  const std::size_t before = sink.received;
  EXPECT_GT(before, 0U);
  narrow->config().is_down = true;
  world.run_for(seconds(20));
  EXPECT_LE(sink.received, before + 40'000);
  narrow->config().is_down = false;
  ASSERT_TRUE(finish(seconds(60)));
  EXPECT_TRUE(sink.are_right);

  Bulk other(100'000);
  start(other);
  world.run_for(milliseconds(45));
  narrow->config().is_down = true;
  other.port->want_readable();
  world.run_for(minutes(14));
  EXPECT_EQ(other.port->try_write(std::array{as_bytes("x")}).status, IoStatus::failed)
      << "it has sent its end";
  world.run_for(minutes(6));
  Bytes into(1);
  EXPECT_EQ(other.port->try_read(std::array{ByteSpan(into)}).status, IoStatus::failed);
}

TEST_F(ShapedTcpTest, a_reset_comes_after_what_is_under_way) {
  Bulk bulk(30'000);
  start(bulk);
  world.run_for(milliseconds(41));  // connected, and has written all
  EXPECT_EQ(bulk.written, bulk.bytes);
  bulk.port->reset();
  world.run_for(seconds(1));
  EXPECT_FALSE(sink.has_ended);
  // The first window had left, of which one segment is the rest of a write.
  EXPECT_EQ(sink.received, 9 * TcpFlight::kSegmentBytes + 10'000 % TcpFlight::kSegmentBytes);
  EXPECT_TRUE(sink.are_right);
}

// --- through NATs and firewalls ----------------------------------------------------------------

struct GuardedTcpTest : testing::Test {
  GuardedTcpTest() {
    network.put_behind(home, network.core());
    network.put_behind(office, network.core(), {"198.51.100.0/24"});
    client.attach(home);
    server.attach(office);
    listener = *server_host.listen_stream(open_place, Purpose::process, acceptor);
    closed =
        *server_host.listen_stream(SocketAddress{open_place.ip, 81}, Purpose::process, unheard);
  }
  const SocketAddress open_place{*IpAddress::parse("198.51.100.1"), 80};
  World world{1};
  Network network{world};
  Router& home = network.add_router(
      {.name = "home", .nat = NatConfig{.public_ip = *IpAddress::parse("192.0.2.1")}});
  Router& office =
      network.add_router({.name = "office", .firewall = FirewallConfig{.open_ports = {80}}});
  Machine& client = network.add_machine("client", {*IpAddress::parse("10.0.0.2")},
                                        {.delay = milliseconds(5)}, {});
  Machine& server = network.add_machine("server", {open_place.ip});
  SimHost client_host{client, {}};
  SimHost server_host{server, {}};
  Acceptor acceptor;
  Acceptor unheard;
  Reader caller;
  std::unique_ptr<ListenerPort> listener;
  std::unique_ptr<ListenerPort> closed;
};

TEST_F(GuardedTcpTest, goes_by_the_address_that_the_nat_gives_it) {
  caller.port = *client_host.connect_stream(open_place, Purpose::process, caller);
  world.run_for(milliseconds(20));
  ASSERT_TRUE(caller.connected_at);
  EXPECT_EQ(acceptor.reader.port->ends()->remote.ip.text(), "192.0.2.1");
  EXPECT_EQ(caller.write("hello").bytes, 5U);
  EXPECT_EQ(acceptor.reader.write("you").bytes, 3U);
  world.run_for(milliseconds(20));
  EXPECT_EQ(acceptor.reader.text, "hello");
  EXPECT_EQ(caller.text, "you");
  // The NAT has forgotten it: nothing passes, and nobody is told.
  home.nat()->forget_mappings();
  EXPECT_EQ(acceptor.reader.write("more").bytes, 4U);
  world.run_for(minutes(1));
  EXPECT_EQ(caller.text, "you");
}

TEST_F(GuardedTcpTest, is_let_in_at_open_ports_only) {
  caller.port =
      *client_host.connect_stream(SocketAddress{open_place.ip, 81}, Purpose::process, caller);
  world.run_for(minutes(5));
  EXPECT_FALSE(caller.connected_at);
  ASSERT_TRUE(caller.failure);
  EXPECT_EQ(caller.failure->what, "connection timed out");
  EXPECT_FALSE(unheard.reader.port);
}

}  // namespace
}  // namespace culvert::sim
