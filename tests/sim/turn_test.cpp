// What one turn of a worker does: nobody sends or reads for ever, no packet leaves that another
// one could have taken along, and a control stream holds what its peer does not read.
#include "flow/stream_pump.h"
#include "peer/control_stream.h"
#include "session/resume_talk.h"
#include "tests/sim/oracles.h"
#include "tests/sim/raw_peer.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace culvert::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint16_t kPort = 4433;

LinkConfig link_of(Duration delay) {
  LinkConfig link;
  link.delay = delay;
  return link;
}

crypto::SecretKey numbered_key(std::uint8_t number) {
  return crypto::SecretKey::from_seed({number});
}

// A server, and clients on machines of their own, one connection each.
struct Peers {
  explicit Peers(std::uint8_t clients, Duration delay = milliseconds(1))
      : server_machine(network.add_machine("server", {IpAddress::v4(0xc6336401)}, link_of(delay),
                                           link_of(delay))),
        server(server_machine,
               {.identity = numbered_key(100),
                .alpns = {"culvert/1"},
                .transport = {.initial_streams_bidi = 10},
                .accepts_connections = true},
               kPort) {
    watch_amplification(world, server_machine, kPort, amplification);
    for (std::uint8_t i = 0; i < clients; ++i) {
      Machine& machine =
          network.add_machine("client " + std::to_string(i), {IpAddress::v4(0xcb007101U + i)},
                              link_of(delay), link_of(delay));
      peers.push_back(std::make_unique<RawPeer>(
          machine, quic::EndpointConfig{.identity = numbered_key(static_cast<std::uint8_t>(i + 1)),
                                        .transport = {.initial_streams_bidi = 10}}));
      lines.push_back(&peers.back()->connect({.to = {server_machine.addresses().front(), kPort},
                                              .peer = numbered_key(100).public_key()}));
      run([&] { return lines.back()->is_up() && server.connections().size() == lines.size(); });
    }
  }
  bool run(const std::function<bool()>& done, Duration within = seconds(30)) {
    return world.run_until(done, world.now() + within);
  }
  // The other side of a stream that is the latest of `line`, which has sent something on it.
  RawStream& other_end(std::size_t line) {
    run([&] { return !server.connections().at(line)->streams().empty(); });
    return *server.connections().at(line)->streams().back();
  }

  World world{1};
  AmplificationWatch amplification;
  Network network{world};
  Machine& server_machine;
  RawPeer server;
  std::vector<std::unique_ptr<RawPeer>> peers;
  std::vector<RawConnection*> lines;
};

// --- fairness -----------------------------------------------------------------------------------

TEST(SimTurn, lets_the_next_connection_send_before_one_has_sent_all) {
  Peers peers(2);
  RawStream& bulk = *peers.lines[0]->open_stream();
  RawStream& brief = *peers.lines[1]->open_stream();
  peers.lines[0]->send(bulk, Bytes{1});
  peers.lines[1]->send(brief, Bytes{1});
  RawStream& from_bulk = peers.other_end(0);
  RawStream& from_brief = peers.other_end(1);
  // A congestion window that has room for it all.
  from_bulk.connection->send(from_bulk, Bytes(60'000'000, 'x'));
  ASSERT_TRUE(peers.run([&] { return bulk.total_received == 60'000'000; }));
  peers.world.run_for(seconds(1));
  const Instant begun = peers.world.now();
  const IpAddress first = peers.peers[0]->host().machine().addresses().front();
  std::size_t ahead = 0;
  std::size_t at_once = 0;
  bool has_brief_left = false;
  peers.network.tap = [&](Instant now, Packet& packet) {
    if (packet.from.port != kPort || now > begun + milliseconds(1)) return true;
    if (packet.to.ip == first) {
      at_once += packet.payload.size();
      if (!has_brief_left) ahead += packet.payload.size();
    } else {
      has_brief_left = true;
    }
    return true;
  };
  from_bulk.connection->send(from_bulk, Bytes(1'000'000, 'x'));
  from_brief.connection->send(from_brief, Bytes(100, 'y'));
  peers.world.run_for(milliseconds(10));
  ASSERT_TRUE(has_brief_left);
  EXPECT_GT(at_once, 2 * limits::kSendBytesPerTurn) << "there was more to send";
  EXPECT_LE(ahead, limits::kSendBytesPerTurn + limits::kUdpPayloadOwnPeers);
}

// Always has something to read.
class Fountain final : public StreamPort {
 public:
  IoResult try_read(std::span<const ByteSpan> into) override {
    std::size_t size = 0;
    for (const ByteSpan& span : into) size += span.size();
    read_bytes += size;
    return {.bytes = size, .status = IoStatus::ok};
  }
  IoResult try_write(std::span<const ByteView>) override {
    return {.bytes = 0, .status = IoStatus::would_block};
  }
  void want_readable() override { ++wishes; }
  void want_writable() override {}
  void shutdown_write() override {}
  void reset() override {}
  void set_handler(StreamHandler& its_handler) override { handler = &its_handler; }
  [[nodiscard]] std::string remote_text() const override { return "a fountain"; }

  StreamHandler* handler = nullptr;
  std::size_t read_bytes = 0;
  int wishes = 0;
};

struct NoPumpOwner final : flow::PumpOwner {
  void on_pump_finished(Instant) override {}
  void on_pump_broken(Instant) override {}
};

TEST(SimTurn, lets_the_next_flow_read_before_one_has_read_all) {
  Peers peers(1);
  drive::Worker& worker = peers.server.worker();
  quic::Stream stream(0, worker.chunks(), 16 * limits::kReadBytesPerTurn);
  drive::TrafficCounters counters;
  NoPumpOwner owner;
  flow::StreamPump pump(worker, stream, counters, owner);
  auto port = std::make_unique<Fountain>();
  Fountain& fountain = *port;
  pump.attach(std::move(port));
  for (int turn = 1; turn <= 3; ++turn) {
    fountain.handler->on_stream_readable(peers.world.now());
    EXPECT_EQ(fountain.read_bytes, turn * limits::kReadBytesPerTurn);
    EXPECT_EQ(fountain.wishes, 1 + turn) << "and wants to go on";
  }
}

// --- acknowledgements ---------------------------------------------------------------------------

// An answer that comes within moments takes the acknowledgement along, in either direction. On
// a path as short as this ngtcp2 would send it at once.
TEST(SimTurn, takes_two_packets_for_a_question_and_its_answer) {
  Peers peers(1, microseconds(5));
  RawConnection& line = *peers.lines[0];
  RawStream& stream = *line.open_stream();
  line.send(stream, Bytes{1});
  RawStream& there = peers.other_end(0);
  peers.world.run_for(seconds(3));  // the path MTU is found
  constexpr std::uint64_t kQuestions = 200;
  std::uint64_t answered = 0;
  const auto later = [&](const std::function<void()>& act) {
    peers.world.after(microseconds(100), [act](Instant) { act(); });
  };
  there.connection->on_received = [&](RawStream&) {
    later([&] { there.connection->send(there, Bytes(100, 'a')); });
  };
  line.on_received = [&](RawStream&) {
    if (++answered < kQuestions) later([&] { line.send(stream, Bytes(100, 'q')); });
  };
  const std::uint64_t before = peers.network.stats().packets;
  line.send(stream, Bytes(100, 'q'));
  ASSERT_TRUE(peers.run([&] { return answered == kQuestions; }));
  EXPECT_LE(peers.network.stats().packets - before, 2 * kQuestions + kQuestions / 10);
}

// --- the control stream -------------------------------------------------------------------------

// The longest message that a client says: it names a thousand flows.
std::vector<std::uint64_t> many_ids(std::uint64_t first) {
  std::vector<std::uint64_t> ids(limits::kMaxGoneIds);
  std::iota(ids.begin(), ids.end(), (std::uint64_t{1} << 61) + first);
  return ids;
}

// A control stream in the place of a raw one, towards a peer who reads when it likes.
struct Talk final : drive::ConnectionHandler, peer::ControlHandler {
  explicit Talk(Peers& its_peers)
      : peers(its_peers),
        connection(&peers.lines[0]->quic()),
        control(worker().timers(), *connection->open_stream(), session::Dialect::culvert_1,
                session::ControlEnd::client) {
    control.set_handler(*this);
    worker().rebind(*connection, *this);
    talk.emplace(control.channel());
    talk->announce_done(7);
    there = &peers.other_end(0);
    there->is_reading = false;
  }
  ~Talk() override {
    control.release();
    worker().rebind(*connection, *peers.lines[0]);
  }
  [[nodiscard]] drive::Worker& worker() { return peers.peers[0]->worker(); }
  void say() {
    talk->announce_gone(many_ids(said++));
    worker().host().request_turn_end();  // as what it says comes from a turn
  }
  void read_on() {
    there->is_reading = true;
    static_cast<drive::ConnectionHandler&>(*there->connection)
        .on_readable(peers.world.now(), *there->stream);
  }
  void on_event(Instant, quic::Event&) override {}
  void on_readable(Instant now, quic::Stream& stream) override {
    peer::user_of(stream)->on_quic_readable(now);
  }
  void on_writable(Instant now, quic::Stream& stream) override {
    if (auto* user = peer::user_of(stream)) user->on_quic_writable(now);
  }
  void on_datagram(Instant, ByteView) override {}
  void on_control(Instant) override { ++news; }
  void on_control_failed(Instant, const session::ChannelFailure& failure) override {
    EXPECT_FALSE(is_saying);
    failures.push_back(failure);
  }

  Peers& peers;
  quic::Connection* connection;
  peer::ControlStream control;
  std::optional<session::ClientResumeTalk> talk;
  RawStream* there = nullptr;
  std::uint64_t said = 0;
  int news = 0;
  bool is_saying = false;  // a call of the session is under way
  std::vector<session::ChannelFailure> failures;
};

TEST(SimTurn, keeps_what_a_full_control_stream_does_not_take) {
  Peers peers(1);
  Talk talk(peers);
  // More than the peer's window takes, not more than may wait.
  while (talk.control.channel().waiting_bytes() < limits::kControlOutboxBytes / 2) {
    ASSERT_LT(talk.said, limits::kSendBufferMax / limits::kMaxGoneIds);
    talk.say();
    peers.world.run_for(milliseconds(10));
  }
  talk.read_on();
  std::uint64_t heard = 0;
  bool has_begun = false;
  const bool is_complete = peers.run([&] {
    while (const auto message = talk.there->take_message()) {
      if (!std::exchange(has_begun, true)) {
        EXPECT_EQ(message->number(1), 7U);
        continue;
      }
      EXPECT_EQ(session::decode_flow_ids(message->bytes(1)), many_ids(heard++));
    }
    return heard == talk.said;
  });
  EXPECT_TRUE(is_complete) << heard << " of " << talk.said << ": all of it, in order";
  EXPECT_EQ(talk.control.channel().waiting_bytes(), 0U);
  EXPECT_TRUE(talk.failures.empty());
}

TEST(SimTurn, gives_up_a_peer_that_never_reads_its_control_stream) {
  Peers peers(1);
  Talk talk(peers);
  std::size_t said = 0;
  while (said <= limits::kSendBufferMax + limits::kControlOutboxBytes && talk.failures.empty()) {
    talk.is_saying = true;
    talk.say();
    talk.is_saying = false;
    said += limits::kMaxGoneIds * 8;
    peers.world.run_for(milliseconds(10));
  }
  ASSERT_EQ(talk.failures.size(), 1U) << said;
  EXPECT_TRUE(talk.failures[0].is_unread);
  EXPECT_GE(said, limits::kControlOutboxBytes);
  talk.say();  // to nobody
  peers.world.run_for(seconds(1));
  EXPECT_EQ(talk.failures.size(), 1U);
}

}  // namespace
}  // namespace culvert::sim
