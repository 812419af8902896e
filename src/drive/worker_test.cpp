#include "drive/worker.h"

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
class SlowHost final : public Host {
 public:
  class Port final : public UdpPort {
   public:
    explicit Port(SlowHost& host) : host_(host) {}
    void pin_sources(std::vector<LocalAddress>) override {}
    std::size_t recv_batch(std::span<RxDatagram> out) override {
      host_.clock += kReceiving;
      if (host_.waiting.empty()) return 0;
      given_ = std::exchange(host_.waiting, {});
      out[0] = {.path = {.local = kServer, .remote = kClient},
                .segment_size = static_cast<std::uint16_t>(given_.size()),
                .bytes = given_};
      return 1;
    }
    UdpSendResult send_batch(std::span<const TxBatch> batches) override {
      return {.batches_taken = batches.size()};
    }
    void want_refusals(bool) override {}
    std::optional<UdpRefusal> poll_refusal() override { return {}; }
    [[nodiscard]] SocketAddress local_address() const override { return kServer; }

   private:
    SlowHost& host_;
    Bytes given_;
  };

  void set_handler(HostHandler& handler) override { host_handler = &handler; }
  [[nodiscard]] Instant now() override { return clock; }
  void set_deadline(Instant) override {}
  std::unique_ptr<TimerPort> after(Duration, std::function<void(Instant)>) override {
    return nullptr;
  }
  void request_turn_end() override { ++turn_ends; }
  void set_rest(Duration) override {}
  bool hand_over(std::uint8_t, const RxDatagram&) override { return false; }
  Result<std::unique_ptr<UdpPort>> open_udp(const UdpOptions&, UdpHandler& handler) override {
    udp_handler = &handler;
    return std::make_unique<Port>(*this);
  }
  Result<std::unique_ptr<StreamPort>> connect_stream(const StreamAddress&, Purpose,
                                                     StreamHandler&) override {
    return fail(ErrorKind::internal, "no streams here");
  }
  Result<std::unique_ptr<ListenerPort>> listen_stream(const StreamAddress&, Purpose,
                                                      ListenerHandler&) override {
    return fail(ErrorKind::internal, "no streams here");
  }
  Result<std::unique_ptr<StreamPort>> open_stdio(StreamHandler&) override {
    return fail(ErrorKind::internal, "no streams here");
  }
  std::unique_ptr<ResolvePort> resolve(const std::string&, Purpose, ResolveHandler&) override {
    return nullptr;
  }
  Result<IpAddress> local_address_towards(const IpAddress&) override { return kServer.ip; }
  std::vector<LocalAddress> local_addresses() override { return {}; }
  Rng& rng() override { return rng_; }
  void give_back_memory() override {}

  static constexpr Duration kReceiving = 3ms;
  Instant clock{1s};
  Bytes waiting;  // a datagram that the next receive finds
  UdpHandler* udp_handler = nullptr;
  HostHandler* host_handler = nullptr;
  int turn_ends = 0;  // asked for

 private:
  SeededRng rng_{1};
};

struct Arrival final : WorkerHandler {
  ConnectionHandler* on_connection(Instant now, quic::Connection&) override {
    at = now;
    return nullptr;
  }
  void on_network_changed(Instant) override {}
  void on_refused(Instant, const UdpRefusal&) override {}
  Instant at{};
};

Bytes first_packet_of_a_client(Instant now) {
  SeededRng rng(2);
  quic::ChunkPool chunks;
  auto endpoint =
      quic::Endpoint::create(quic::LoopbackPair::config(false), rng, null_logger(), chunks);
  EXPECT_TRUE(endpoint);
  auto connection = (*endpoint)->connect(
      now, {.local = kClient, .remote = kServer},
      {.peer = quic::LoopbackPair::server_key().public_key(), .alpn = "culvert/1"});
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
  Worker worker(host, null_logger(), arrival);
  ASSERT_TRUE(worker.open(quic::LoopbackPair::config(true), {}));
  const Instant turn = host.clock;
  host.waiting = first_packet_of_a_client(turn);
  host.udp_handler->on_udp_readable(turn);
  EXPECT_EQ(arrival.at, turn + SlowHost::kReceiving);
}

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
  Arrival arrival;
  Worker worker(host, null_logger(), arrival);
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
  Arrival arrival;
  Worker worker(host, null_logger(), arrival);
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
  Arrival arrival;
  Worker worker(host, null_logger(), arrival);
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

}  // namespace
}  // namespace culvert::drive
