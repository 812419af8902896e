// Clients that break the rules of several paths (docs/protocol/culvert-1.md 8). What each rule's
// test is: the table at the end of that document.
#include "peer/flow_codes.h"
#include "session/chunk_frames.h"
#include "session/reassembly.h"
#include "session/stripe_scheduler.h"
#include "tests/sim/hostile_client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace culvert::sim {
namespace {

using session::ChunkKind;
using session::CloseCode;
using session::FlowOpen;
using session::MessageType;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kWindow = limits::kStripeWindowFirst;

FlowOpen striped(std::uint64_t id, Multipath mode = Multipath::aggregate) {
  return {.source = std::string(kTarget), .flow_id = id, .multipath = mode};
}

Bytes header(ChunkKind kind, std::uint64_t offset, std::size_t length = 0) {
  const auto encoded = session::encode_chunk_header(kind, offset, length);
  const ByteView view = encoded.view();
  return {view.begin(), view.end()};
}

Bytes chunk(std::uint64_t offset, ByteView bytes) {
  Bytes out = header(ChunkKind::data, offset, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
  return out;
}

// What a leg has told so far, taken out of what it received.
struct Told {
  std::uint64_t window = kWindow;
  std::uint64_t bytes = 0;  // end of the highest chunk
};

void listen(RawStream& leg, Told& told) {
  std::size_t used = 0;
  while (true) {
    const ByteView rest = ByteView(leg.received).subspan(used);
    const auto head = session::decode_chunk_header(rest);
    if (!head || rest.size() < head->size + head->length) break;
    used += head->size + head->length;
    if (head->kind == ChunkKind::window) told.window = std::max(told.window, head->offset);
    if (head->kind == ChunkKind::data) {
      told.bytes = std::max(told.bytes, head->offset + head->length);
    }
  }
  leg.received.erase(leg.received.begin(),
                     leg.received.begin() + static_cast<std::ptrdiff_t>(used));
}

// A target that takes everything, or nothing.
class Sink final : public ListenerHandler {
 public:
  Sink(SimHost& host, std::uint16_t port, bool takes)
      : listener_(*host.listen_stream(SocketAddress{IpAddress::loopback(Family::v4), port},
                                      Purpose::listener, *this)),
        takes_(takes) {}
  void on_accept(Instant, std::unique_ptr<StreamPort> stream) override {
    ends_.push_back(std::make_unique<End>(std::move(stream)));
    if (takes_) ends_.back()->stream->want_readable();
  }

 private:
  struct End final : StreamHandler {
    explicit End(std::unique_ptr<StreamPort> its_stream) : stream(std::move(its_stream)) {
      stream->set_handler(*this);
    }
    void on_stream_connected(Instant) override {}
    void on_stream_failed(Instant, const Error&) override {}
    void on_stream_writable(Instant) override {}
    void on_stream_readable(Instant) override {
      std::vector<std::uint8_t> buffer(1 << 16);
      const std::array<ByteSpan, 1> spans{ByteSpan(buffer)};
      while (stream->try_read(spans).status == IoStatus::ok) {
      }
      stream->want_readable();
    }
    std::unique_ptr<StreamPort> stream;
  };
  std::unique_ptr<ListenerPort> listener_;
  std::vector<std::unique_ptr<End>> ends_;
  bool takes_;
};

struct LanesFixture {
  explicit LanesFixture(TunnelWorldConfig config = {})
      : tunnel(1, std::move(config)), client(tunnel) {}
  [[nodiscard]] std::size_t calls() const { return tunnel.talkers->talkers().size(); }
  [[nodiscard]] std::size_t lanes() const {
    const auto sessions = tunnel.servers[0]->sessions(10);
    return sessions.empty() ? 0 : 1 + sessions[0].joined.size();
  }
  void expect_reset(RawStream& leg, std::uint64_t code, const std::string& why) {
    client.wait([&] { return leg.reset_code.has_value() || leg.is_over(); });
    EXPECT_EQ(leg.reset_code, code) << why;
  }

  TunnelWorld tunnel;
  HostileClient client;
};

// --- connections of a session -------------------------------------------------------------------

TEST(SimHostileLanes, are_no_more_than_a_session_may_have) {
  LanesFixture fixture;
  HostileLine& line = fixture.client.log_in();
  std::vector<HostileLine*> joined;
  while (joined.size() + 1 < limits::kMaxLanes) joined.push_back(&fixture.client.join(line));
  EXPECT_EQ(fixture.lanes(), limits::kMaxLanes);
  for (int i = 0; i < 3; ++i) {
    HostileLine& more = fixture.client.connect();
    ASSERT_TRUE(more.greet());
    static_cast<void>(more.join(line.session_id(), line.key()));
    EXPECT_TRUE(more.is_thrown_out(CloseCode::session_limit));
    EXPECT_EQ(fixture.lanes(), limits::kMaxLanes);
  }
  joined[0]->wire.close(7);
  fixture.client.run_for(milliseconds(100));
  static_cast<void>(fixture.client.join(line));
  EXPECT_EQ(fixture.lanes(), limits::kMaxLanes);
}

TEST(SimHostileLanes, carry_no_flow_that_is_not_striped) {
  LanesFixture fixture;
  HostileLine& line = fixture.client.log_in();
  HostileLine& lane = fixture.client.join(line);
  const FlowOpen plain{.source = std::string(kTarget), .flow_id = 1};
  FlowOpen resumed = plain;
  resumed.resume = session::FlowResume{};
  for (const FlowOpen& open :
       {plain, resumed, FlowOpen{.source = "udp://127.0.0.1:53", .flow_id = 2},
        FlowOpen{
            .source = "udp://127.0.0.1:53", .flow_id = 3, .multipath = Multipath::redundant}}) {
    RawStream& flow = *lane.open(open);
    fixture.expect_reset(flow, peer::kProtocolError, open.source);
  }
  EXPECT_EQ(fixture.calls(), 0U);
  EXPECT_EQ(fixture.tunnel.servers[0]->stats().flows_opened, 0U);
  EXPECT_FALSE(lane.wire.is_closed());
  ASSERT_NE(line.open(plain), nullptr);
  fixture.client.run_for(milliseconds(100));
  EXPECT_EQ(fixture.calls(), 1U) << "where it belongs";
}

TEST(SimHostileLanes, join_sessions_that_live_and_with_their_key_only) {
  LanesFixture fixture;
  HostileLine& line = fixture.client.log_in();
  HostileLine& other = fixture.client.log_in();
  const session::SessionId gone = other.session_id();
  const session::ResumeKey gone_key = other.key();
  other.wire.close(0);
  fixture.client.run_for(milliseconds(100));
  for (const auto& [id, key] : {std::pair(line.session_id(), gone_key), std::pair(gone, gone_key),
                                std::pair(session::SessionId{}, line.key())}) {
    HostileLine& lane = fixture.client.connect();
    ASSERT_TRUE(lane.greet());
    const auto answer = lane.join(id, key);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->is(MessageType::refused));
    EXPECT_EQ(answer->number(1), static_cast<std::uint64_t>(CloseCode::moved));
    EXPECT_TRUE(lane.is_thrown_out(CloseCode::moved));
  }
  EXPECT_EQ(fixture.lanes(), 1U);
}

TEST(SimHostileLanes, become_the_sessions_own_once_and_with_its_key) {
  LanesFixture fixture;
  HostileLine& line = fixture.client.log_in();
  HostileLine& wrong = fixture.client.join(line);
  static_cast<void>(wrong.promote(session::ResumeKey(std::array<std::uint8_t, 32>{})));
  EXPECT_TRUE(wrong.is_thrown_out(CloseCode::protocol_error));
  EXPECT_FALSE(line.wire.is_closed()) << "a lane takes only itself along";
  EXPECT_EQ(fixture.lanes(), 1U);

  HostileLine& lane = fixture.client.join(line);
  const session::ResumeKey key = line.key();
  const auto answer = lane.promote(key);
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->is(MessageType::resumed));
  EXPECT_TRUE(line.is_thrown_out(CloseCode::moved));
  static_cast<void>(lane.promote(key));
  EXPECT_TRUE(lane.is_thrown_out(CloseCode::protocol_error));
}

// Whoever asks, and stops the stream on which the answer would come, is not left waiting.
TEST(SimHostileLanes, are_closed_where_their_answer_is_not_taken) {
  LanesFixture fixture;
  HostileLine& line = fixture.client.log_in();
  HostileLine& lane = fixture.client.join(line);
  lane.wire.stop_sending(lane.control, 0);
  fixture.client.run_for(milliseconds(100));
  EXPECT_FALSE(lane.wire.is_closed()) << "nothing was to be said";
  static_cast<void>(lane.promote(line.key()));
  EXPECT_TRUE(lane.is_thrown_out(CloseCode::protocol_error));
  EXPECT_FALSE(line.wire.is_closed());
  EXPECT_EQ(fixture.lanes(), 1U);
  EXPECT_EQ(fixture.tunnel.servers[0]->stats().connections_unread, 1U);
}

// Their control streams end, or say what only the session's own may.
TEST(SimHostileLanes, cost_only_themselves_what_they_do_wrong) {
  for (int wrong = 0; wrong < 3; ++wrong) {
    LanesFixture fixture;
    HostileLine& line = fixture.client.log_in();
    HostileLine& lane = fixture.client.join(line);
    RawStream& flow = *line.open(striped(1));
    RawStream& leg = *lane.open(striped(1));
    fixture.client.run_for(milliseconds(100));
    switch (wrong) {
      case 0:
        lane.done(0);
        break;
      case 1:
        static_cast<void>(lane.join(line.session_id(), line.key()));
        break;
      default:
        lane.say(Bytes(3, 0xff));
        lane.say(Bytes(20, 0xff));
    }
    EXPECT_TRUE(lane.is_thrown_out(CloseCode::protocol_error)) << wrong;
    fixture.client.run_for(milliseconds(100));
    EXPECT_TRUE(leg.is_over());
    EXPECT_FALSE(flow.reset_code) << wrong;
    EXPECT_EQ(fixture.calls(), 1U);
    EXPECT_FALSE(line.wire.is_closed());
  }
}

// A connection that is a lane when the limit is lowered, and the session's own afterwards: the
// places that it has are not taken from it, but those it gives back are kept.
TEST(SimHostileLanes, get_no_places_back_that_a_lower_limit_took) {
  TunnelWorldConfig config;
  config.max_flows = 16;
  LanesFixture fixture(config);
  HostileLine& line = fixture.client.log_in();
  HostileLine& lane = fixture.client.join(line);
  peer::ServerPolicy policy = *fixture.tunnel.shared.policy;
  policy.max_flows_per_session = 4;
  fixture.tunnel.set_policy(std::make_shared<const peer::ServerPolicy>(policy));
  static_cast<void>(lane.promote(line.key()));
  const auto open_all = [&] {
    std::vector<RawStream*> streams;
    while (RawStream* stream = lane.wire.open_stream()) {
      lane.wire.send(*stream, Bytes{0x40});  // half a head
      streams.push_back(stream);
    }
    fixture.client.run_for(milliseconds(50));
    return streams;
  };
  const std::vector<RawStream*> streams = open_all();
  ASSERT_EQ(streams.size(), config.max_flows + limits::kSpareStreams - 1);
  for (RawStream* stream : streams) lane.wire.finish(*stream);
  fixture.client.run_for(seconds(1));
  EXPECT_EQ(open_all().size(), policy.max_flows_per_session + limits::kSpareStreams - 1);
}

// --- striped flows ------------------------------------------------------------------------------

TEST(SimHostileLanes, have_only_so_many_legs_a_flow) {
  LanesFixture fixture;
  HostileLine& line = fixture.client.log_in();
  std::vector<RawStream*> legs;
  for (std::size_t i = 0; i < session::StripeScheduler::kMaxLegs; ++i) {
    legs.push_back(line.open(striped(1)));
  }
  RawStream& more = *line.open(striped(1));
  fixture.expect_reset(more, peer::kNone, "one too many");
  EXPECT_EQ(
      std::ranges::count_if(legs, [](const RawStream* leg) { return leg->reset_code.has_value(); }),
      0);
  fixture.client.run_for(milliseconds(50));
  EXPECT_EQ(fixture.calls(), 1U);
}

// One that lost its only connection, while the session goes on without it.
TEST(SimHostileLanes, end_a_flow_that_they_do_not_bring_back) {
  TunnelWorldConfig config;
  config.resume_grace = seconds(5);
  LanesFixture fixture(config);
  HostileLine& line = fixture.client.log_in();
  HostileLine& lane = fixture.client.join(line);
  ASSERT_NE(lane.open(striped(1)), nullptr);
  fixture.client.run_for(milliseconds(100));
  ASSERT_EQ(fixture.calls(), 1U);
  lane.wire.close(7);
  fixture.client.run_for(config.resume_grace);
  EXPECT_EQ(fixture.tunnel.servers[0]->stats().flows_active, 1U);
  EXPECT_EQ(fixture.tunnel.talkers->talkers()[0]->state(), Talker::State::running);
  fixture.client.run_for(seconds(10));
  EXPECT_EQ(fixture.tunnel.servers[0]->stats().flows_active, 0U);
  EXPECT_EQ(fixture.tunnel.talkers->talkers()[0]->state(), Talker::State::reset);
  EXPECT_FALSE(line.wire.is_closed());
}

TEST(SimHostileLanes, need_the_feature_for_striped_flows) {
  LanesFixture fixture;
  HostileLine& line = fixture.client.connect();
  ASSERT_TRUE(line.log_in(session::kFeatureResume));
  fixture.client.run_for(milliseconds(20));
  fixture.expect_reset(*line.open(striped(1)), peer::kUnknown, "no such flows");
  EXPECT_EQ(fixture.calls(), 0U);
}

TEST(SimHostileLanes, break_a_flow_off_by_chunks_that_break_the_rules) {
  const Bytes one(1, 'x');
  const Bytes three(3, 'x');
  const auto both = [](Bytes first, const Bytes& second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
  };
  // What the server has told when the flow begins.
  constexpr std::uint64_t kTold = limits::kStripeWindowStart;
  const std::vector<std::pair<std::string, Bytes>> wrong{
      {"no bytes", Bytes{0, 0, 0}},
      {"more bytes than a chunk may have", Bytes{0, 0, 0x80, 0, 0x40, 0}},
      {"an unknown kind", Bytes{3, 0}},
      {"bytes beyond the window", chunk(kTold, one)},
      {"bytes across the window", chunk(kTold - 1, three)},
      {"bytes at the end of all offsets", chunk(session::kMaxFlowOffset, one)},
      {"bytes beyond the end", both(header(ChunkKind::end, 2), chunk(1, three))},
      {"the end before what came", both(chunk(5, three), header(ChunkKind::end, 2))},
      {"two ends", both(header(ChunkKind::end, 9), header(ChunkKind::end, 10))},
  };
  for (const auto& [name, bytes] : wrong) {
    LanesFixture fixture;
    HostileLine& line = fixture.client.log_in();
    RawStream& leg = *line.open(striped(1));
    RawStream& second = *line.open(striped(1));
    fixture.client.run_for(milliseconds(50));
    line.wire.send(second, bytes);
    fixture.expect_reset(leg, peer::kProtocolError, name);
    fixture.expect_reset(second, peer::kProtocolError, name);
    fixture.client.run_for(milliseconds(50));
    ASSERT_EQ(fixture.calls(), 1U) << name;
    EXPECT_EQ(fixture.tunnel.talkers->talkers()[0]->state(), Talker::State::reset) << name;
    EXPECT_EQ(fixture.tunnel.servers[0]->stats().flows_active, 0U) << name;
    EXPECT_FALSE(line.wire.is_closed()) << name;
  }
}

// Every second byte: pieces that can never be put together.
TEST(SimHostileLanes, hold_only_so_many_pieces) {
  LanesFixture fixture;
  HostileLine& line = fixture.client.log_in();
  RawStream& leg = *line.open(striped(1));
  // The first window has no room for so many: what is in order, and taken, brings a larger one.
  Bytes opening = FlowPlan{.seed = 1, .upload_bytes = 1'000'000}.encode();
  opening.resize(kWindow / 4 * 3);
  line.wire.send(leg, chunk(0, opening));
  fixture.client.run_for(seconds(1));
  Told told;
  listen(leg, told);
  ASSERT_GT(told.window, opening.size() + 2 * session::Reassembly::kMaxPieces + 2);
  const auto piece = [&](std::size_t i) {
    return chunk(opening.size() + 1 + 2 * i, Bytes(1, 'x'));
  };
  for (std::size_t i = 0; i < session::Reassembly::kMaxPieces; ++i) line.wire.send(leg, piece(i));
  fixture.client.run_for(seconds(1));
  EXPECT_FALSE(leg.reset_code);
  line.wire.send(leg, piece(session::Reassembly::kMaxPieces));
  fixture.expect_reset(leg, peer::kProtocolError, "one piece too many");
}

// A receiver that grants nothing, takes back what it granted, or grants everything.
TEST(SimHostileLanes, are_sent_what_their_window_lets) {
  LanesFixture fixture;
  HostileLine& line = fixture.client.log_in();
  RawStream& leg = *line.open(striped(1));
  Bytes opening = chunk(0, FlowPlan{.seed = 1, .download_bytes = 2'000'000}.encode());
  line.wire.send(leg, opening);
  Told told;
  const auto run = [&] {
    fixture.client.run_for(seconds(1));
    listen(leg, told);
  };
  run();
  EXPECT_EQ(told.bytes, kWindow);
  line.wire.send(leg, header(ChunkKind::window, kWindow + 1'000));
  line.wire.send(leg, header(ChunkKind::window, 10));
  run();
  EXPECT_EQ(told.bytes, kWindow + 1'000);
  line.wire.send(leg, header(ChunkKind::window, session::kMaxFlowOffset));
  run();
  EXPECT_GT(told.bytes, 2'000'000U);
  EXPECT_FALSE(leg.reset_code);
}

// What a client may have under way on all its striped flows is bounded for the session.
TEST(SimHostileLanes, share_one_budget_for_their_windows) {
  LanesFixture fixture;
  const Sink sink(*fixture.tunnel.server_hosts[0], 9001, true);
  HostileLine& line = fixture.client.log_in();
  struct Flow {
    RawStream* leg;
    std::uint64_t sent = 0;
    Told told{};
  };
  constexpr std::size_t kGrown = limits::kSessionBufferBytes / 16 * 7;
  // More than could have the largest window each.
  constexpr std::size_t kFlows = limits::kSessionBufferBytes / limits::kStripeWindowMax + 4;
  std::vector<Flow> flows;
  for (std::uint64_t id = 1; id <= kFlows; ++id) {
    FlowOpen open = striped(id);
    open.source = "tcp://127.0.0.1:9001";
    flows.push_back({.leg = line.open(open)});
    ASSERT_NE(flows.back().leg, nullptr);
  }
  fixture.client.run_for(milliseconds(50));
  const Bytes bytes(session::kMaxChunkBytes, 'x');
  std::uint64_t most = 0;
  for (int idle_rounds = 0; idle_rounds < 10; ++idle_rounds) {
    for (Flow& flow : flows) {  // half of what each may send, so that more is granted soon
      const std::uint64_t keep = (flow.told.window - flow.sent) / 2;
      while (flow.sent + keep < flow.told.window) {
        line.wire.send(*flow.leg, chunk(flow.sent, bytes));
        flow.sent += bytes.size();
      }
    }
    fixture.client.run_for(milliseconds(10));
    std::uint64_t granted = 0;
    for (Flow& flow : flows) {
      listen(*flow.leg, flow.told);
      ASSERT_FALSE(flow.leg->reset_code);
      granted += flow.told.window - flow.sent;
    }
    if (granted > most) idle_rounds = 0;
    most = std::max(most, granted);
  }
  EXPECT_LE(most, kFlows * kWindow + kGrown);
  EXPECT_GE(most, kGrown / 4) << "what it is for";
}

// Also what each begins with: of very many most have the first window alone.
TEST(SimHostileLanes, share_that_budget_when_they_begin) {
  constexpr std::size_t kFlows = 2 * limits::kSessionBufferBytes / limits::kStripeWindowStart;
  LanesFixture fixture;
  const Sink sink(*fixture.tunnel.server_hosts[0], 9001, true);
  HostileLine& line = fixture.client.log_in();
  std::uint64_t granted = 0;
  for (std::uint64_t id = 1; id <= kFlows; ++id) {
    FlowOpen open = striped(id);
    open.source = "tcp://127.0.0.1:9001";
    RawStream* leg = line.open(open);
    ASSERT_NE(leg, nullptr);
    fixture.client.run_for(milliseconds(5));
    Told told;
    listen(*leg, told);
    ASSERT_FALSE(leg->reset_code);
    granted += told.window;
  }
  constexpr std::size_t kGrown = limits::kSessionBufferBytes / 16 * 7;
  EXPECT_LE(granted, kFlows * kWindow + kGrown);
  EXPECT_GE(granted, kFlows * kWindow + kGrown / 4) << "what it is for";
}

}  // namespace
}  // namespace culvert::sim
