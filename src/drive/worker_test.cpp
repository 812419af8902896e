#include "drive/worker.h"

#include "ports/null_host.h"
#include "quic/loopback_pair.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace culvert::drive {
namespace {

using namespace std::chrono_literals;

const SocketAddress kServer{IpAddress::v4(0x0A000001), 4433};
const SocketAddress kClient{IpAddress::v4(0x0A000002), 50'000};

// A machine with one UDP port and a clock, on which to receive takes a while.
class SlowHost final : public NullHost {
 public:
  class Port final : public UdpPort {
   public:
    explicit Port(SlowHost& host) : host_(host) {}
    void pin_sources(std::vector<LocalAddress>) override {}
    std::size_t recv_batch(std::span<RxDatagram> out) override {
      host_.clock += kReceiving;
      if (host_.waiting.empty()) return 0;
      given_ = std::exchange(host_.waiting, {});
      out[0] = {.path = {.local = kServer, .remote = host_.sender},
                .segment_size = static_cast<std::uint16_t>(
                    host_.segment_size == 0 ? given_.size() : host_.segment_size),
                .bytes = given_};
      return 1;
    }
    UdpSendResult send_batch(std::span<const TxBatch> batches) override {
      for (const TxBatch& batch : batches) host_.sent_to.push_back(batch.path.remote);
      return {.batches_taken = batches.size()};
    }
    void want_refusals(bool is_wanted) override { host_.hears_refusals = is_wanted; }
    std::optional<UdpRefusal> poll_refusal() override { return {}; }
    [[nodiscard]] SocketAddress local_address() const override { return kServer; }

   private:
    SlowHost& host_;
    Bytes given_;
  };

  void set_handler(HostHandler& handler) override { host_handler = &handler; }
  [[nodiscard]] Instant now() override { return clock; }
  void request_turn_end() override { ++turn_ends; }
  bool hand_over(std::uint8_t worker, const RxDatagram& batch) override {
    handed.push_back({worker, segment_count(batch), batch.bytes.size()});
    return takes_handed_over;
  }
  Result<std::unique_ptr<UdpPort>> open_udp(const UdpOptions&, UdpHandler& handler) override {
    udp_handler = &handler;
    return std::make_unique<Port>(*this);
  }
  Result<IpAddress> local_address_towards(const IpAddress&) override { return kServer.ip; }

  static constexpr Duration kReceiving = 3ms;
  Instant clock{1s};
  Bytes waiting;  // what the next receive finds
  SocketAddress sender = kClient;
  std::size_t segment_size = 0;  // zero: one datagram
  struct HandedOver {
    std::uint8_t worker;
    std::size_t datagrams;
    std::size_t bytes;
    friend bool operator==(const HandedOver&, const HandedOver&) = default;
  };
  std::vector<HandedOver> handed;
  bool takes_handed_over = true;
  std::vector<SocketAddress> sent_to;  // a batch each
  UdpHandler* udp_handler = nullptr;
  HostHandler* host_handler = nullptr;
  bool hears_refusals = false;
  std::uint64_t next_client = 100;
  int turn_ends = 0;  // asked for
};

struct Arrival final : WorkerHandler {
  ConnectionHandler* on_connection(Instant now, quic::Connection& connection) override {
    at = now;
    ++connections;
    last = &connection;
    return nullptr;
  }
  void on_network_changed(Instant) override {}
  void on_refused(Instant, const UdpRefusal&) override {}
  Instant at{};
  int connections = 0;
  quic::Connection* last = nullptr;
};

Bytes first_packet_of_a_client(Instant now, const std::string& alpn = "culvert/1",
                               std::uint64_t seed = 2) {
  SeededRng rng(seed);
  buffers::ChunkPool chunks;
  auto endpoint =
      quic::Endpoint::create(quic::LoopbackPair::config(false), rng, null_logger(), chunks);
  EXPECT_TRUE(endpoint);
  auto connection =
      (*endpoint)->connect(now, {.local = kClient, .remote = kServer},
                           {.peer = quic::LoopbackPair::server_key().public_key(), .alpn = alpn});
  EXPECT_TRUE(connection);
  quic::TxBuilder packets(1 << 16);
  EXPECT_FALSE((*connection)->poll_transmit(now, 1 << 16, packets));
  const TxBatch& batch = packets.batches().front();
  return Bytes(batch.bytes.begin(), batch.bytes.begin() + batch.segment_size);
}

// A datagram may arrive while a turn stands still. Taken for older than it is, it would make the
// round trip look shorter than it ever was, and the queue longer.
TEST(Worker, takes_no_datagram_for_older_than_it_is) {
  SlowHost host;
  Arrival arrival;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  ASSERT_TRUE(worker.add_role(arrival, {"culvert/1"}));
  const Instant turn = host.clock;
  host.waiting = first_packet_of_a_client(turn);
  host.udp_handler->on_udp_readable(turn);
  EXPECT_EQ(arrival.at, turn + SlowHost::kReceiving);
}

// --- roles -------------------------------------------------------------------------------

// Somebody connects who speaks this.
void arrive(SlowHost& host, const std::string& alpn) {
  host.waiting = first_packet_of_a_client(host.clock, alpn, host.next_client++);
  host.sent_to.clear();
  host.udp_handler->on_udp_readable(host.clock);
  host.host_handler->on_turn_end(host.clock);
}

TEST(Worker, gives_who_connects_to_the_role_that_speaks_his_protocol) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  Arrival server;
  Arrival mesh;
  Arrival client;
  ASSERT_TRUE(worker.add_role(server, {"culvert/1", "mf/4"}));
  ASSERT_TRUE(worker.add_role(mesh, {"mesh/1"}));
  ASSERT_TRUE(worker.add_role(client, {}));
  arrive(host, "mesh/1");
  EXPECT_EQ(mesh.connections, 1);
  EXPECT_EQ(server.connections, 0);
  arrive(host, "mf/4");
  arrive(host, "culvert/1");
  EXPECT_EQ(server.connections, 2);
  EXPECT_EQ(mesh.connections, 1);
  EXPECT_EQ(client.connections, 0);
}

TEST(Worker, tells_who_connects_and_speaks_what_no_role_does) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  Arrival server;
  ASSERT_TRUE(worker.add_role(server, {"culvert/1"}));
  arrive(host, "mesh/1");
  EXPECT_EQ(server.connections, 0);
  EXPECT_EQ(host.sent_to, std::vector{kClient}) << "the alert";
}

// As if nothing were there; whatever the configuration of the endpoint says.
TEST(Worker, answers_nobody_while_its_roles_only_dial) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  Arrival client;
  ASSERT_TRUE(worker.add_role(client, {}));
  arrive(host, "culvert/1");
  EXPECT_TRUE(host.sent_to.empty());
  EXPECT_EQ(worker.endpoint().stats().accepted, 0U);
}

TEST(Worker, gives_nobody_to_a_role_that_is_gone) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  Arrival server;
  Arrival mesh;
  ASSERT_TRUE(worker.add_role(server, {"culvert/1"}));
  ASSERT_TRUE(worker.add_role(mesh, {"mesh/1"}));
  worker.remove_role(server);
  arrive(host, "culvert/1");
  EXPECT_EQ(server.connections, 0);
  arrive(host, "mesh/1");
  EXPECT_EQ(mesh.connections, 1);
  Arrival next;
  ASSERT_TRUE(worker.add_role(next, {"culvert/1"}));
  arrive(host, "culvert/1");
  EXPECT_EQ(next.connections, 1);
}

TEST(Worker, takes_no_two_roles_that_speak_the_same_protocol) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  Arrival server;
  Arrival other;
  ASSERT_TRUE(worker.add_role(server, {"culvert/1"}));
  const Status added = worker.add_role(other, {"mesh/1", "culvert/1"});
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().offender, "culvert/1");
  arrive(host, "mesh/1");
  EXPECT_EQ(other.connections, 0);
}

// Arrival takes none.
TEST(Worker, closes_a_connection_that_its_role_does_not_want) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  Arrival server;
  ASSERT_TRUE(worker.add_role(server, {"culvert/1"}));
  arrive(host, "culvert/1");
  EXPECT_EQ(server.connections, 1);
  EXPECT_TRUE(server.last->is_closed());
  EXPECT_EQ(host.sent_to, std::vector{kClient});
}

// One that dials wants to hear who refuses datagrams, another does not: each is told while one
// does.
TEST(Worker, hears_refusals_while_somebody_wants_to) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  {
    RefusalWish first(worker);
    RefusalWish second(worker);
    EXPECT_FALSE(host.hears_refusals);
    first.set(true);
    first.set(true);
    second.set(true);
    EXPECT_TRUE(host.hears_refusals);
    first.set(false);
    EXPECT_TRUE(host.hears_refusals);
  }
  EXPECT_FALSE(host.hears_refusals);
}

// --- turns -------------------------------------------------------------------------------

// Says when it is deleted.
struct Mortal {
  Mortal(std::vector<int>& its_deleted, int its_number)
      : deleted(its_deleted), number(its_number) {}
  ~Mortal() { deleted.push_back(number); }
  std::vector<int>& deleted;
  int number;
};

TEST(Worker, deletes_what_died_when_the_turn_ends_and_in_that_order) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  std::vector<int> deleted;
  for (const int number : {1, 2, 3}) worker.bury(std::make_unique<Mortal>(deleted, number));
  EXPECT_GT(host.turn_ends, 0);
  EXPECT_TRUE(deleted.empty());
  host.host_handler->on_turn_end(host.clock);
  EXPECT_EQ(deleted, (std::vector{1, 2, 3}));
}

struct Flow final : Flushable {
  void flush(Instant) override {
    ++flushed;
    if (at_flush) at_flush();
  }
  std::function<void()> at_flush;
  int flushed = 0;
};

TEST(Worker, asks_for_no_other_turn_for_what_this_one_settles) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  Flow second;
  Flow first;
  first.at_flush = [&] { worker.request_flush(second); };
  worker.request_flush(first);
  EXPECT_EQ(host.turn_ends, 1);
  host.host_handler->on_turn_end(host.clock);
  EXPECT_EQ(second.flushed, 1);
  EXPECT_EQ(host.turn_ends, 1);
}

struct LastWish {
  explicit LastWish(std::function<void()> its_wish) : wish(std::move(its_wish)) {}
  ~LastWish() { wish(); }
  std::function<void()> wish;
};

TEST(Worker, asks_for_another_turn_for_what_comes_up_at_the_very_end_of_one) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  Flow late;
  worker.bury(std::make_unique<LastWish>([&] { worker.request_flush(late); }));
  EXPECT_EQ(host.turn_ends, 1);
  host.host_handler->on_turn_end(host.clock);
  EXPECT_EQ(late.flushed, 0);
  EXPECT_EQ(host.turn_ends, 2);
  host.host_handler->on_turn_end(host.clock);
  EXPECT_EQ(late.flushed, 1);
  EXPECT_EQ(host.turn_ends, 2);
}

// --- what comes in -----------------------------------------------------------------------

Bytes stun(std::uint8_t type_high, std::uint8_t type_low, std::uint8_t asker) {
  Bytes bytes{type_high, type_low, 0, 0, 0x21, 0x12, 0xA4, 0x42, asker};
  bytes.resize(20);
  return bytes;
}

struct StunLog final : StunHandler {
  void on_stun(Instant, const PathId& path, ByteView message) override {
    EXPECT_EQ(path.remote, kClient);
    messages.emplace_back(message.begin(), message.end());
  }
  std::vector<Bytes> messages;
};

TEST(Worker, hands_datagrams_that_follow_each_other_over_together) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  StunLog log;
  worker.set_stun_handler(&log);
  for (const std::uint8_t asker : {7, 7, 0, 3, 7}) {
    const Bytes answer = stun(1, 1, asker);
    host.waiting.insert(host.waiting.end(), answer.begin(), answer.end());
  }
  host.segment_size = 20;
  host.udp_handler->on_udp_readable(host.clock);
  using Handed = std::vector<SlowHost::HandedOver>;
  EXPECT_EQ(host.handed, (Handed{{7, 2, 40}, {3, 1, 20}, {7, 1, 20}}));
  EXPECT_EQ(worker.handed_over(), 4U);
  EXPECT_EQ(log.messages, (std::vector<Bytes>{stun(1, 1, 0)}));
}

// Who names a worker at random (the first byte of STUN's transaction id) reaches nobody.
TEST(Worker, counts_what_no_other_worker_takes) {
  SlowHost host;
  host.takes_handed_over = false;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  host.waiting = stun(1, 1, 200);
  host.udp_handler->on_udp_readable(host.clock);
  EXPECT_EQ(worker.handed_over(), 0U);
  EXPECT_EQ(worker.strays(), 1U);
}

TEST(Worker, hands_nothing_on_that_was_handed_over) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  const Bytes answer = stun(1, 1, 7);
  host.host_handler->on_handover(
      host.clock,
      {.path = {.local = kServer, .remote = kClient}, .segment_size = 20, .bytes = answer});
  EXPECT_TRUE(host.handed.empty());
}

TEST(Worker, gives_stun_to_its_handler_and_counts_what_is_for_nobody) {
  SlowHost host;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  host.waiting = stun(0, 1, 7);
  host.udp_handler->on_udp_readable(host.clock);
  EXPECT_EQ(worker.strays(), 1U);
  StunLog log;
  worker.set_stun_handler(&log);
  host.waiting = stun(0, 1, 7);  // a request: whoever's it reaches
  host.udp_handler->on_udp_readable(host.clock);
  EXPECT_EQ(log.messages.size(), 1U);
  EXPECT_EQ(worker.strays(), 1U);
}

// Else a stranger on the wire could speak as the peer behind a relay.
TEST(Worker, believes_no_sender_that_has_an_address_no_wire_has) {
  SlowHost host;
  Arrival arrival;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  ASSERT_TRUE(worker.add_role(arrival, {"culvert/1"}));
  MappedAddresses relayed(PathKind::relay);
  host.sender = *relayed.map(Bytes{1});
  host.waiting = first_packet_of_a_client(host.clock);
  host.udp_handler->on_udp_readable(host.clock);
  EXPECT_EQ(arrival.connections, 0);
  EXPECT_EQ(worker.strays(), 1U);

  // The relay itself may say so.
  const Bytes packet = first_packet_of_a_client(host.clock);
  worker.on_received(host.clock, {.path = {.local = kServer, .remote = host.sender},
                                  .segment_size = static_cast<std::uint16_t>(packet.size()),
                                  .bytes = packet});
  EXPECT_EQ(arrival.connections, 1);
}

struct OneChannel final : TurnInput {
  [[nodiscard]] bool is_server(const SocketAddress& source) const override {
    return source == kClient;
  }
  std::optional<RxDatagram> unwrap(const PathId& path, ByteView data) override {
    if (data[1] != 1) return std::nullopt;
    const ByteView inner = data.subspan(4);
    return RxDatagram{.path = {.local = path.local, .remote = peer},
                      .segment_size = static_cast<std::uint16_t>(inner.size()),
                      .bytes = inner};
  }
  MappedAddresses mapped{PathKind::turn};
  SocketAddress peer = *mapped.map(Bytes{9});
};

TEST(Worker, takes_quic_out_of_a_turn_servers_channels) {
  SlowHost host;
  Arrival arrival;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  ASSERT_TRUE(worker.add_role(arrival, {"culvert/1"}));
  OneChannel turn;
  worker.set_turn_input(&turn);
  const Bytes packet = first_packet_of_a_client(host.clock);
  for (const std::uint8_t channel : {2, 1}) {
    host.waiting = {0x40, channel, 0, 0};
    host.waiting.insert(host.waiting.end(), packet.begin(), packet.end());
    host.udp_handler->on_udp_readable(host.clock);
    EXPECT_EQ(arrival.connections, channel == 1 ? 1 : 0);
  }
  EXPECT_EQ(worker.strays(), 1U);
  host.waiting = {0x40, 1, 0, 0, 0x40, 1, 0, 0};  // a channel in a channel: not QUIC for anybody
  host.udp_handler->on_udp_readable(host.clock);
  EXPECT_EQ(arrival.connections, 1);
}

// --- ways out ----------------------------------------------------------------------------

struct Listener final : ConnectionHandler {
  void on_event(Instant, quic::Event&) override {}
  void on_readable(Instant, quic::Stream&) override {}
  void on_writable(Instant, quic::Stream&) override {}
  void on_datagram(Instant, ByteView) override {}
};

struct SlowRelay final : Transport {
  UdpSendResult send_batch(std::span<const TxBatch> batches) override {
    if (is_full) return {.batches_taken = 0, .is_blocked = true};
    for (const TxBatch& batch : batches) sent_to.push_back(batch.path.remote);
    return {.batches_taken = batches.size()};
  }
  bool is_full = false;
  std::vector<SocketAddress> sent_to;
};

TEST(Worker, sends_by_the_relay_what_is_for_a_peer_behind_it_whatever_holds_it_up) {
  SlowHost host;
  Listener listener;
  Worker worker(host, null_logger());
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(false), {}));
  SlowRelay relay;
  worker.add_transport(PathKind::relay, relay, 1'400);
  MappedAddresses relayed(PathKind::relay);
  const SocketAddress first = *relayed.map(Bytes{1});
  const SocketAddress second = *relayed.map(Bytes{2});
  const quic::ConnectOptions options{.peer = quic::LoopbackPair::server_key().public_key(),
                                     .alpn = "culvert/1"};
  const auto dial = [&](const SocketAddress& remote) {
    ASSERT_TRUE(worker.connect(host.clock, remote, options, listener));
    host.host_handler->on_turn_end(host.clock);
  };
  relay.is_full = true;
  dial(first);
  dial(kClient);
  dial(second);
  ASSERT_FALSE(host.sent_to.empty());
  for (const SocketAddress& remote : host.sent_to) EXPECT_EQ(remote, kClient);
  EXPECT_TRUE(relay.sent_to.empty());

  relay.is_full = false;
  worker.on_transport_writable(host.clock, PathKind::relay);
  ASSERT_FALSE(relay.sent_to.empty());
  EXPECT_EQ(relay.sent_to.front(), first);
  EXPECT_EQ(relay.sent_to.back(), second);
  for (const SocketAddress& remote : host.sent_to) EXPECT_EQ(remote, kClient);
  worker.remove_transport(PathKind::relay);
}

}  // namespace
}  // namespace culvert::drive
