#include "sim/sim_host.h"

#include "sim/sim_stream.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

namespace culvert::sim {
namespace {

using std::chrono::milliseconds;

IpAddress ip(const char* text) {
  return *IpAddress::parse(text);
}

struct Collector final : UdpHandler {
  void on_udp_readable(Instant) override {
    std::array<RxDatagram, 4> batch;
    for (std::size_t count = 0; (count = port->recv_batch(batch)) != 0;) {
      for (const RxDatagram& datagram : std::span(batch).first(count)) {
        bytes += datagram.bytes.size();
        ++calls;
        last_path = datagram.path;
      }
    }
  }
  void on_udp_writable(Instant) override { ++writable; }
  std::unique_ptr<UdpPort> port;
  std::size_t bytes = 0;
  std::size_t calls = 0;
  std::size_t writable = 0;
  PathId last_path;
};

struct TwoMachines : testing::Test {
  World world{1};
  Network network{world};
  Machine& a = network.add_machine("a", {ip("192.0.2.1")}, {.delay = milliseconds(5)});
  Machine& b = network.add_machine("b", {ip("192.0.2.2")}, {.delay = milliseconds(5)});
};

TEST_F(TwoMachines, carry_datagrams_and_glue_them_when_the_kernel_would) {
  for (const bool glues : {false, true}) {
    SimHost host_a(a, {.coalesces_datagrams = glues});
    SimHost host_b(b, {.coalesces_datagrams = glues});
    Collector at_a;
    Collector at_b;
    at_a.port = *host_a.open_udp({.bind = {IpAddress::any(Family::v4), 0}}, at_a);
    at_b.port = *host_b.open_udp({.bind = {IpAddress::any(Family::v4), 700}}, at_b);
    const Bytes payload(1000, 7);
    const TxBatch batch{.path = {.local = {}, .remote = {ip("192.0.2.2"), 700}},
                        .segment_size = 300,
                        .bytes = payload};
    EXPECT_EQ(at_a.port->send_batch({&batch, 1}).batches_taken, 1U);
    world.run_for(milliseconds(20));
    EXPECT_EQ(at_b.bytes, 1000U);
    EXPECT_EQ(at_b.calls, glues ? 1U : 4U);
    EXPECT_EQ(at_b.last_path.remote.ip, ip("192.0.2.1"));
    EXPECT_EQ(at_b.last_path.local, (SocketAddress{ip("192.0.2.2"), 700}));
  }
}

TEST_F(TwoMachines, a_blocked_socket_becomes_writable_again) {
  SimHost host(a, {.send_blocked = 1.0});
  Collector sender;
  sender.port = *host.open_udp({.bind = {IpAddress::any(Family::v4), 0}}, sender);
  const Bytes payload(10, 1);
  const TxBatch batch{.path = {.local = {}, .remote = {ip("192.0.2.2"), 700}},
                      .segment_size = 10,
                      .bytes = payload};
  EXPECT_TRUE(sender.port->send_batch({&batch, 1}).is_blocked);
  world.run_for(milliseconds(5));
  EXPECT_EQ(sender.writable, 1U);
}

TEST_F(TwoMachines, a_machine_that_moved_is_found_at_its_new_address_only) {
  SimHost host_a(a, {});
  SimHost host_b(b, {});
  Collector at_a;
  Collector at_b;
  at_a.port = *host_a.open_udp({.bind = {IpAddress::any(Family::v4), 0}}, at_a);
  at_b.port = *host_b.open_udp({.bind = {IpAddress::any(Family::v4), 700}}, at_b);
  b.set_addresses({ip("192.0.2.9")});
  const Bytes payload(10, 1);
  for (const char* to : {"192.0.2.2", "192.0.2.9"}) {
    const TxBatch batch{
        .path = {.local = {}, .remote = {ip(to), 700}}, .segment_size = 10, .bytes = payload};
    EXPECT_EQ(at_a.port->send_batch({&batch, 1}).batches_taken, 1U);
  }
  world.run_for(milliseconds(20));
  EXPECT_EQ(at_b.calls, 1U);
  EXPECT_EQ(at_b.last_path.local.ip, ip("192.0.2.9"));
}

TEST_F(TwoMachines, call_each_timer_when_it_is_due_unless_it_is_gone) {
  std::string order;
  auto host = std::make_unique<SimHost>(a, HostKnobs{});
  const Instant start = host->now();
  const auto second = host->after(milliseconds(5), [&](Instant now) {
    EXPECT_EQ(now, start + milliseconds(5));
    order += 'b';
  });
  std::unique_ptr<TimerPort> first = host->after(milliseconds(2), [&](Instant) {
    order += 'a';
    first = host->after(milliseconds(3), [&](Instant) { order += 'c'; });  // it replaces itself
  });
  auto gone = host->after(milliseconds(1), [](Instant) { ADD_FAILURE(); });
  gone.reset();
  world.run_for(milliseconds(9));
  EXPECT_EQ(order, "abc");

  host->stop_until(host->now() + milliseconds(10));
  const auto asleep = host->after(milliseconds(1), [&](Instant now) {
    EXPECT_EQ(now, start + milliseconds(19));
    order += 'd';
  });
  world.run_for(milliseconds(10));
  EXPECT_EQ(order, "abcd");

  const auto outlives = host->after(milliseconds(1), [](Instant) { ADD_FAILURE(); });
  host.reset();
  world.run_for(milliseconds(5));
}

struct StreamLog final : StreamHandler {
  void on_stream_connected(Instant) override { is_connected = true; }
  void on_stream_failed(Instant, const Error&) override { has_failed = true; }
  void on_stream_readable(Instant) override { ++readable; }
  void on_stream_writable(Instant) override { ++writable; }
  bool is_connected = false;
  bool has_failed = false;
  int readable = 0;
  int writable = 0;
};

TEST(SimStream, blocks_when_full_and_wakes_the_writer) {
  World world(1);
  auto [a, b] = PipeEnd::make_pair(world, {.buffer_bytes = 100}, "a", "b");
  StreamLog log;
  a->set_handler(log);
  const Bytes bytes(150, 3);
  const std::array<ByteView, 1> out{bytes};
  EXPECT_EQ(a->try_write(out).bytes, 100U);
  EXPECT_EQ(a->try_write(out).status, IoStatus::would_block);
  a->want_writable();
  world.run_for(milliseconds(1));
  EXPECT_EQ(log.writable, 0);
  Bytes into(60);
  const std::array<ByteSpan, 1> in{into};
  EXPECT_EQ(b->try_read(in).bytes, 60U);
  world.run_for(milliseconds(1));
  EXPECT_EQ(log.writable, 1);
  EXPECT_EQ(a->try_write(out).bytes, 60U);
}

TEST(SimStream, delivers_the_end_after_the_bytes_and_keeps_the_other_direction) {
  World world(1);
  auto [a, b] = PipeEnd::make_pair(world, {}, "a", "b");
  const Bytes bytes(10, 3);
  const std::array<ByteView, 1> out{bytes};
  EXPECT_EQ(a->try_write(out).bytes, 10U);
  a->shutdown_write();
  world.run_for(milliseconds(1));
  Bytes into(60);
  const std::array<ByteSpan, 1> in{into};
  EXPECT_EQ(b->try_read(in).bytes, 10U);
  EXPECT_EQ(b->try_read(in).status, IoStatus::end);
  EXPECT_EQ(b->try_write(out).bytes, 10U);
  world.run_for(milliseconds(1));
  EXPECT_EQ(a->try_read(in).bytes, 10U);
}

TEST(SimStream, closing_with_unread_input_resets_the_peer) {
  World world(1);
  auto [a, b] = PipeEnd::make_pair(world, {}, "a", "b");
  const Bytes bytes(10, 3);
  const std::array<ByteView, 1> out{bytes};
  EXPECT_EQ(a->try_write(out).bytes, 10U);
  world.run_for(milliseconds(1));
  b.reset();
  Bytes into(60);
  const std::array<ByteSpan, 1> in{into};
  EXPECT_EQ(a->try_read(in).status, IoStatus::failed);
}

TEST_F(TwoMachines, connecting_to_nobody_is_refused) {
  SimHost host(a, {});
  StreamLog log;
  const auto stream =
      host.connect_stream(SocketAddress{IpAddress::loopback(Family::v4), 80}, Purpose::flow, log);
  EXPECT_TRUE(stream.has_value());
  EXPECT_FALSE(log.has_failed);
  world.run_for(milliseconds(5));
  EXPECT_TRUE(log.has_failed);
}

TEST_F(TwoMachines, send_from_each_address_by_its_own_interface) {
  a.add_interface(ip("192.0.9.1"), {.delay = milliseconds(50)}, {});
  SimHost host_a(a, {});
  SimHost host_b(b, {});
  Collector at_a;
  Collector at_b;
  at_a.port = *host_a.open_udp({.bind = {IpAddress::any(Family::v4), 0}}, at_a);
  at_b.port = *host_b.open_udp({.bind = {IpAddress::any(Family::v4), 700}}, at_b);
  const Bytes payload(100, 7);
  const TxBatch batch{.path = {.local = {ip("192.0.9.1"), 0}, .remote = {ip("192.0.2.2"), 700}},
                      .segment_size = 100,
                      .bytes = payload};
  EXPECT_EQ(at_a.port->send_batch({&batch, 1}).batches_taken, 1U);
  world.run_for(milliseconds(40));
  EXPECT_EQ(at_b.calls, 0U);
  world.run_for(milliseconds(20));
  EXPECT_EQ(at_b.calls, 1U);
  EXPECT_EQ(at_b.last_path.remote.ip, ip("192.0.9.1"));
  EXPECT_EQ(host_a.local_addresses().size(), 2U);
}

}  // namespace
}  // namespace culvert::sim
