// Clients that break the rules of flows and of resuming (docs/protocol/culvert-1.md 5 to 7).
// What each rule's test is: the table at the end of that document.
#include "peer/flow_codes.h"
#include "tests/sim/hostile_client.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace culvert::sim {
namespace {

using session::CloseCode;
using session::FlowOpen;
using session::FlowResume;
using session::MessageBuilder;
using session::MessageType;
using session::RefusalCode;
using std::chrono::milliseconds;
using std::chrono::seconds;

FlowOpen tcp(std::uint64_t id) {
  return {.source = std::string(kTarget), .flow_id = id};
}

FlowOpen resumed(std::uint64_t id, std::uint64_t received, std::uint64_t start) {
  return {.source = std::string(kTarget),
          .flow_id = id,
          .resume = FlowResume{.received = received, .start = start}};
}

// A flow whose target sends `download` bytes and waits for our end.
Bytes plan(std::uint32_t download, std::uint32_t upload = 0) {
  return FlowPlan{.seed = 3, .upload_bytes = upload, .download_bytes = download}.encode();
}

RefusalCode refusal_of(HostileClient& client, RawStream& flow) {
  std::optional<HeardMessage> heard;
  client.wait([&] { return (heard = flow.take_message()).has_value(); });
  if (!heard || !heard->is(MessageType::flow_refused)) return RefusalCode{};
  return static_cast<RefusalCode>(heard->number(1));
}

struct Fixture {
  explicit Fixture(TunnelWorldConfig config = {}) : tunnel(1, std::move(config)), client(tunnel) {}
  [[nodiscard]] std::size_t calls() const { return tunnel.talkers->talkers().size(); }
  [[nodiscard]] const Talker& target(std::size_t index = 0) const {
    return *tunnel.talkers->talkers().at(index);
  }
  [[nodiscard]] drive::Counters stats() const { return tunnel.servers[0]->stats(); }
  // A flow that has reached its target, which has sent `download` bytes.
  RawStream& running_flow(HostileLine& line, std::uint64_t id, std::uint32_t download = 100) {
    RawStream& flow = *line.open(tcp(id), plan(download));
    client.wait([&] { return flow.total_received >= download; });
    client.run_for(milliseconds(50));
    EXPECT_TRUE(flow.take_message()->is(MessageType::flow_accepted));
    return flow;
  }
  // One that is over, in order, on both sides.
  void finished_flow(HostileLine& line, std::uint64_t id) {
    RawStream& flow = running_flow(line, id);
    line.wire.finish(flow);
    EXPECT_TRUE(client.wait([&] { return flow.is_over(); }));
    client.run_for(milliseconds(100));
    EXPECT_EQ(target(calls() - 1).state(), Talker::State::finished);
  }

  TunnelWorld tunnel;
  HostileClient client;
};

// --- heads --------------------------------------------------------------------------------------

TEST(SimHostileFlows, are_reset_when_their_head_cannot_be_read) {
  const auto head = [](const MessageBuilder& message) {
    Bytes bytes;
    message.append_to(bytes);
    return bytes;
  };
  const std::string target(kTarget);
  const auto open = [&] { return MessageBuilder(MessageType::flow_open); };
  Bytes too_long;
  ByteWriter writer(too_long);
  writer.varint(64);
  writer.varint(limits::kControlMessageBytes + 1);
  const std::vector<std::pair<std::string, Bytes>> heads{
      {"another message", head(MessageBuilder(MessageType::hello))},
      {"too long", too_long},
      {"no source", head(open().number(2, 1))},
      {"half of what resuming needs", head(open().text(1, target).number(2, 1).number(3, 0))},
      {"resuming without an id", head(open().text(1, target).number(3, 0).number(4, 0))},
      {"UDP without an id", head(open().text(1, "udp://127.0.0.1:53"))},
      {"paths that nobody knows", head(open().text(1, target).number(2, 1).number(5, 3))},
      {"paths without an id", head(open().text(1, target).number(5, 1))},
      {"a tag twice", head(open().text(1, target).text(1, target))},
  };
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  for (const auto& [name, bytes] : heads) {
    RawStream& stream = *line.wire.open_stream();
    line.wire.send(stream, bytes);
    fixture.client.wait([&] { return stream.reset_code.has_value(); });
    EXPECT_EQ(stream.reset_code, peer::kProtocolError) << name;
  }
  RawStream& half = *line.wire.open_stream();
  line.wire.send(half, ByteView(heads[0].second).first(1));
  line.wire.finish(half);
  fixture.client.wait([&] { return half.reset_code.has_value(); });
  EXPECT_EQ(half.reset_code, peer::kProtocolError) << "the end in the middle";
  EXPECT_EQ(fixture.calls(), 0U);
  EXPECT_FALSE(line.wire.is_closed());
  EXPECT_EQ(fixture.stats().flows_active, 0U);
}

TEST(SimHostileFlows, are_refused_where_their_source_is_nonsense_or_not_allowed) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  const std::vector<std::pair<std::string, RefusalCode>> sources{
      {"gopher://127.0.0.1:70", RefusalCode::malformed},
      {"tcp://127.0.0.1", RefusalCode::malformed},
      {"tcp://127.0.0.1:99999", RefusalCode::malformed},
      {std::string(16'000, '\x1b'), RefusalCode::malformed},
      {"tcp://192.0.2.77:22", RefusalCode::not_allowed},
      {"unix:///etc/passwd", RefusalCode::not_allowed},
      {"tcp://nowhere.test:22", RefusalCode::not_resolved},
      {"tcp://crowded.test:22", RefusalCode::limit},
  };
  fixture.tunnel.network.name_failures.emplace("crowded.test",
                                               Error{ErrorKind::limit, "too many lookups", {}});
  std::uint64_t id = 0;
  for (const auto& [source, code] : sources) {
    RawStream& flow = *line.open({.source = source, .flow_id = ++id});
    EXPECT_EQ(refusal_of(fixture.client, flow), code) << source.substr(0, 40);
    EXPECT_TRUE(fixture.client.wait([&] { return flow.has_ended; })) << "FIN follows";
  }
  EXPECT_EQ(fixture.stats().flows_refused, sources.size());
}

TEST(SimHostileFlows, are_as_many_as_the_server_allows) {
  TunnelWorldConfig config;
  config.max_flows = 4;
  Fixture fixture(config);
  HostileLine& line = fixture.client.log_in();
  for (std::uint64_t id = 1; id <= config.max_flows; ++id) {
    static_cast<void>(fixture.running_flow(line, id));
  }
  for (std::uint64_t id = 5; id <= 40; ++id) {
    EXPECT_EQ(refusal_of(fixture.client, *line.open(tcp(id))), RefusalCode::limit);
  }
  fixture.client.run_for(milliseconds(100));
  EXPECT_EQ(fixture.calls(), config.max_flows);
  // Heads that never end take places, and there are only so many.
  std::size_t halves = 0;
  for (RawStream* half = nullptr; (half = line.wire.open_stream()) != nullptr; ++halves) {
    line.wire.send(*half, Bytes{0x40});
    fixture.client.run_for(milliseconds(5));
    ASSERT_LE(halves, limits::kSpareStreams);
  }
  // The control stream has a place, too.
  EXPECT_EQ(halves + config.max_flows + 1, config.max_flows + limits::kSpareStreams);
  EXPECT_FALSE(line.wire.is_closed());
}

// --- ids ----------------------------------------------------------------------------------------

TEST(SimHostileFlows, have_an_id_of_their_own) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  RawStream& running = fixture.running_flow(line, 7);
  EXPECT_EQ(refusal_of(fixture.client, *line.open(tcp(7))), RefusalCode::malformed);
  EXPECT_EQ(refusal_of(fixture.client, *line.open({.source = "udp://127.0.0.1:53", .flow_id = 7})),
            RefusalCode::malformed);
  fixture.finished_flow(line, 8);
  EXPECT_EQ(refusal_of(fixture.client, *line.open(tcp(8))), RefusalCode::malformed);
  EXPECT_EQ(fixture.calls(), 2U) << "of which none was called twice";
  EXPECT_FALSE(running.reset_code);
  // Far behind the highest counts as used, and so does what was behind when a client jumps.
  static_cast<void>(fixture.running_flow(line, std::uint64_t{1} << 61));
  EXPECT_EQ(refusal_of(fixture.client, *line.open(tcp(9))), RefusalCode::malformed);
  EXPECT_EQ(fixture.calls(), 3U);
}

// A FlowOpen may be lost while all the others that a session may open arrive.
TEST(SimHostileFlows, are_new_however_many_overtook_them) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  const std::uint64_t most = limits::kDefaultMaxFlowsPerSession + limits::kSpareStreams;
  static_cast<void>(fixture.running_flow(line, most));
  static_cast<void>(fixture.running_flow(line, 1));
  EXPECT_EQ(fixture.calls(), 2U);
}

TEST(SimHostileFlows, without_an_id_end_with_their_connection) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  static_cast<void>(fixture.running_flow(line, 0));
  static_cast<void>(fixture.running_flow(line, 1));
  HostileLine& next = fixture.client.resume(line);
  fixture.client.run_for(seconds(1));
  EXPECT_EQ(fixture.target(0).state(), Talker::State::reset);
  EXPECT_EQ(fixture.target(1).state(), Talker::State::running);
  EXPECT_FALSE(next.wire.is_closed());
}

// --- UDP ----------------------------------------------------------------------------------------

TEST(SimHostileFlows, of_udp_take_only_datagrams_that_are_whole_and_theirs) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  RawStream& flow = *line.open({.source = "udp://127.0.0.1:5353", .flow_id = 300});
  ASSERT_TRUE(fixture.client.wait([&] { return flow.total_received > 0; }));
  const std::uint64_t before = fixture.stats().bytes_up;
  for (const Bytes& datagram :
       {Bytes{}, Bytes{0x41}, Bytes{0xff, 1}, Bytes{7, 'x'}, Bytes{0x41, 0x2d, 'x'}}) {
    line.wire.send_datagram(datagram);
  }
  fixture.client.run_for(milliseconds(100));
  EXPECT_EQ(fixture.stats().udp_dropped, 5U);
  EXPECT_EQ(fixture.stats().bytes_up, before);
  line.wire.send_datagram(Bytes{0x41, 0x2c, 'h', 'i'});
  line.wire.send(flow, Bytes{0, 3, 'a', 'b', 'c', 0, 9, 'n', 'o'});  // the last is cut off
  line.wire.finish(flow);
  ASSERT_TRUE(fixture.client.wait([&] { return flow.is_over(); }));
  EXPECT_EQ(fixture.stats().bytes_up, before + 5);
  line.wire.send_datagram(Bytes{0x41, 0x2c, 'h', 'i'});  // too late
  fixture.client.run_for(milliseconds(100));
  EXPECT_EQ(fixture.stats().bytes_up, before + 5);
  EXPECT_EQ(fixture.stats().flows_active, 0U);
}

TEST(SimHostileFlows, of_redundant_udp_count_every_datagram_once) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  RawStream& flow = *line.open(
      {.source = "udp://127.0.0.1:5353", .flow_id = 4, .multipath = Multipath::redundant});
  ASSERT_TRUE(fixture.client.wait([&] { return flow.total_received > 0; }));
  const std::uint64_t before = fixture.stats().bytes_up;
  for (const Bytes& datagram : {Bytes{4, 9, 'a'}, Bytes{4, 9, 'a'}, Bytes{4, 8, 'b'}, Bytes{4},
                                Bytes{4, 0x40}, Bytes{4, 8, 'b'}}) {
    line.wire.send_datagram(datagram);
  }
  fixture.client.run_for(milliseconds(100));
  EXPECT_EQ(fixture.stats().bytes_up, before + 2);
  // What is so far behind counts as had.
  const auto send = [&](std::uint64_t number) {
    const auto header = session::datagram_header(4, number);
    Bytes datagram(header.view().begin(), header.view().end());
    datagram.push_back('c');
    line.wire.send_datagram(datagram);
  };
  send(limits::kDatagramCopyWindow + 5);
  send(5);
  send(6);
  fixture.client.run_for(milliseconds(100));
  EXPECT_EQ(fixture.stats().bytes_up, before + 4);
}

// --- the right to a session ---------------------------------------------------------------------

TEST(SimHostileResume, gives_a_session_to_its_own_endpoint_id_only) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  static_cast<void>(fixture.running_flow(line, 1));
  HostileClient thief(fixture.tunnel, 2);
  HostileLine& stolen = thief.connect();
  ASSERT_TRUE(stolen.greet());
  auto answer = stolen.resume(line.session_id(), line.key());
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->is(MessageType::resume_failed));
  HostileLine& joining = thief.connect();
  ASSERT_TRUE(joining.greet());
  answer = joining.join(line.session_id(), line.key());
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->is(MessageType::refused));
  EXPECT_EQ(answer->number(1), static_cast<std::uint64_t>(CloseCode::moved));
  // ... who may log in as what he is.
  stolen.say(stolen.proof());
  answer = stolen.hear();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->is(MessageType::accepted));
  EXPECT_FALSE(line.wire.is_closed());
  EXPECT_EQ(fixture.stats().sessions_resumed, 0U);
  EXPECT_EQ(fixture.target().state(), Talker::State::running);
}

TEST(SimHostileResume, wants_the_key_of_the_connection_that_was) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  HostileLine& other = fixture.client.log_in();
  const std::array<std::uint8_t, 32> nothing{};
  session::SessionId unknown{};
  const std::vector<std::pair<session::SessionId, session::ResumeKey>> wrong{
      {line.session_id(), session::ResumeKey(nothing)},
      {line.session_id(), other.key()},
      {unknown, line.key()},
  };
  for (const auto& [id, key] : wrong) {
    HostileLine& next = fixture.client.connect();
    ASSERT_TRUE(next.greet());
    const auto answer = next.resume(id, key);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->is(MessageType::resume_failed));
  }
  // A proof that was heard on another connection.
  HostileLine& heard = fixture.client.connect();
  HostileLine& repeats = fixture.client.connect();
  ASSERT_TRUE(heard.greet() && repeats.greet());
  repeats.say(MessageBuilder(MessageType::resume)
                  .bytes(1, line.session_id())
                  .bytes(2, session::resume_proof(line.key(), heard.exporter(), heard.nonce())));
  const auto answer = repeats.hear();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->is(MessageType::resume_failed));
  EXPECT_FALSE(line.wire.is_closed());
  EXPECT_EQ(fixture.stats().sessions_resumed, 0U);
}

TEST(SimHostileResume, takes_the_key_before_until_the_client_shows_the_new_one) {
  Fixture fixture;
  HostileLine& first = fixture.client.log_in();
  const session::SessionId id = first.session_id();
  const session::ResumeKey old_key = first.key();
  static_cast<void>(fixture.client.resume(first));  // Resumed may have been lost
  HostileLine& third = fixture.client.connect();
  ASSERT_TRUE(third.greet());
  EXPECT_TRUE(third.resume(id, old_key)->is(MessageType::resumed));
  third.done(0);
  fixture.client.run_for(milliseconds(100));
  HostileLine& late = fixture.client.connect();
  ASSERT_TRUE(late.greet());
  EXPECT_TRUE(late.resume(id, old_key)->is(MessageType::resume_failed));
  EXPECT_FALSE(third.wire.is_closed());
}

TEST(SimHostileResume, is_over_with_any_other_close) {
  for (const std::uint64_t code : {0, 4, 7, 12345}) {
    Fixture fixture;
    HostileLine& line = fixture.client.log_in();
    static_cast<void>(fixture.running_flow(line, 1));
    const session::ResumeKey key = line.key();
    line.wire.close(code);
    fixture.client.run_for(milliseconds(100));
    EXPECT_EQ(fixture.target().state(), Talker::State::reset) << code;
    EXPECT_EQ(fixture.tunnel.shared.places->size(), 0U) << code;
    HostileLine& next = fixture.client.connect();
    ASSERT_TRUE(next.greet());
    EXPECT_TRUE(next.resume(line.session_id(), key)->is(MessageType::resume_failed)) << code;
  }
}

TEST(SimHostileResume, is_over_after_the_grace) {
  for (const bool is_late : {false, true}) {
    TunnelWorldConfig config;
    config.transport.idle_timeout = seconds(3);
    config.resume_grace = seconds(10);
    Fixture fixture(config);
    HostileLine& line = fixture.client.log_in();
    EXPECT_EQ(line.grace_s(), 10U);
    static_cast<void>(fixture.running_flow(line, 1));
    const session::ResumeKey key = line.key();
    fixture.client.set_silent(true);
    fixture.client.run_for(seconds(is_late ? 15 : 11));
    EXPECT_EQ(fixture.target().state(), is_late ? Talker::State::reset : Talker::State::running);
    EXPECT_EQ(fixture.tunnel.shared.places->size(), is_late ? 0U : 1U);
    fixture.client.set_silent(false);
    HostileLine& next = fixture.client.connect();
    ASSERT_TRUE(next.greet());
    EXPECT_EQ(next.resume(line.session_id(), key)->type,
              is_late ? MessageType::resume_failed : MessageType::resumed);
  }
}

// --- flows that go on ---------------------------------------------------------------------------

// Decision 0008: no request reaches its target twice, whatever the client says.
TEST(SimHostileResume, opens_no_flow_again_that_is_over) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  fixture.finished_flow(line, 5);
  FlowOpen striped = tcp(5);
  striped.multipath = Multipath::aggregate;
  const auto ask_again = [&](HostileLine& where) {
    RawStream& again = *where.open(resumed(5, 0, 0), plan(10));
    fixture.client.wait([&] { return again.reset_code.has_value(); });
    EXPECT_EQ(again.reset_code, peer::kUnknown);
    EXPECT_FALSE(again.stop_code);
    RawStream& leg = *where.open(striped, plan(10));
    fixture.client.wait([&] { return leg.reset_code.has_value(); });
    EXPECT_EQ(leg.reset_code, peer::kUnknown);
    EXPECT_EQ(refusal_of(fixture.client, *where.open(tcp(5), plan(10))), RefusalCode::malformed);
  };
  ask_again(line);
  HostileLine& next = fixture.client.resume(line);
  ask_again(next);
  next.done(1);
  ask_again(next);
  fixture.client.run_for(seconds(1));
  EXPECT_EQ(fixture.calls(), 1U);
}

TEST(SimHostileResume, leaves_flows_alone_that_wait_for_nobody) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  RawStream& running = fixture.running_flow(line, 1);
  RawStream& again = *line.open(resumed(1, 0, 0));
  EXPECT_TRUE(fixture.client.wait([&] { return again.reset_code.has_value(); }));
  EXPECT_EQ(again.reset_code, peer::kUnknown);
  line.gone({1});  // of a flow that is on this very connection
  line.wire.finish(running);
  EXPECT_TRUE(fixture.client.wait([&] { return running.is_over(); }));
  EXPECT_EQ(fixture.target().state(), Talker::State::finished);
}

TEST(SimHostileResume, gives_a_flow_to_one_stream_only) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  static_cast<void>(fixture.running_flow(line, 1));
  const std::uint64_t received = line.wire.streams().back()->total_received;
  HostileLine& next = fixture.client.resume(line);
  RawStream& flow = *next.open(resumed(1, received, FlowPlan::kHeaderBytes));
  RawStream& again = *next.open(resumed(1, received, FlowPlan::kHeaderBytes));
  EXPECT_TRUE(fixture.client.wait([&] { return again.reset_code.has_value(); }));
  EXPECT_EQ(again.reset_code, peer::kUnknown);
  next.done(1);
  next.wire.finish(flow);
  EXPECT_TRUE(fixture.client.wait([&] { return flow.is_over(); }));
  EXPECT_EQ(fixture.target().state(), Talker::State::finished);
}

TEST(SimHostileResume, resets_a_flow_that_goes_on_where_it_never_was) {
  constexpr std::uint64_t kSent = FlowPlan::kHeaderBytes;
  for (const bool is_start : {true, false}) {
    Fixture fixture;
    HostileLine& line = fixture.client.log_in();
    static_cast<void>(fixture.running_flow(line, 1));
    const std::uint64_t received = line.wire.streams().back()->total_received;
    static_cast<void>(fixture.running_flow(line, 2));
    HostileLine& next = fixture.client.resume(line);
    RawStream& wrong =
        *next.open(is_start ? resumed(1, received, kSent + 1) : resumed(1, received + 1, kSent));
    EXPECT_TRUE(fixture.client.wait([&] { return wrong.reset_code.has_value(); }));
    EXPECT_EQ(wrong.reset_code, peer::kProtocolError);
    RawStream& right = *next.open(resumed(2, received, kSent));
    next.done(2);
    fixture.client.run_for(milliseconds(100));
    EXPECT_EQ(fixture.target(0).state(), Talker::State::reset);
    EXPECT_EQ(fixture.target(1).state(), Talker::State::running);
    EXPECT_FALSE(right.reset_code);
  }
}

// Bytes that were acknowledged are gone: nobody can have them again.
TEST(SimHostileResume, sends_nothing_again_that_was_acknowledged) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  static_cast<void>(fixture.running_flow(line, 1));
  fixture.client.run_for(milliseconds(100));
  HostileLine& next = fixture.client.resume(line);
  RawStream& flow = *next.open(resumed(1, 0, 0));
  EXPECT_TRUE(fixture.client.wait([&] { return flow.reset_code.has_value(); }));
  EXPECT_EQ(flow.reset_code, peer::kProtocolError);
  EXPECT_EQ(fixture.calls(), 1U);
}

TEST(SimHostileResume, ends_flows_that_nobody_claims) {
  Fixture fixture;
  HostileLine& line = fixture.client.log_in();
  for (std::uint64_t id = 1; id <= 3; ++id) static_cast<void>(fixture.running_flow(line, id));
  HostileLine& next = fixture.client.resume(line);
  next.gone({2, 77});
  fixture.client.run_for(milliseconds(100));
  EXPECT_EQ(fixture.target(1).state(), Talker::State::reset);
  EXPECT_EQ(fixture.target(0).state(), Talker::State::running);
  next.done(2);
  fixture.client.run_for(milliseconds(100));
  EXPECT_EQ(fixture.target(0).state(), Talker::State::reset);
  EXPECT_EQ(fixture.stats().flows_active, 0U);
  next.done(9);  // there is nothing to be done any more
  fixture.client.run_for(milliseconds(100));
  EXPECT_FALSE(next.wire.is_closed());
}

// It was over on both sides but for the last acknowledgement, and its target has not read all yet.
TEST(SimHostileResume, ends_no_flow_that_was_over_in_order) {
  constexpr std::uint32_t kUpload = 8'000;
  TunnelWorldConfig config;
  config.server_up.delay = config.server_down.delay = milliseconds(20);
  config.server_knobs.stream_buffer_bytes = 2'000;
  Fixture fixture(config);
  HostileLine& line = fixture.client.log_in();
  const FlowPlan slow{.upload_bytes = kUpload, .read_chunk_bytes = 100, .read_pause_us = 1'000'000};
  RawStream& flow = *line.open(tcp(1), slow.encode());
  line.wire.send(flow, Bytes(kUpload, 'x'));
  line.wire.finish(flow);
  // Until that is there, and nothing of the answer, nor of the target's end, is here.
  fixture.client.wait([&] { return fixture.calls() == 1; });
  fixture.client.run_for(milliseconds(10));
  fixture.client.set_silent(true);
  EXPECT_EQ(flow.total_received, 0U);
  ASSERT_TRUE(
      fixture.client.wait([&] { return fixture.stats().sessions_suspended == 1; }, seconds(50)));
  fixture.client.set_silent(false);
  HostileLine& next = fixture.client.resume(line);
  EXPECT_LT(fixture.target().received(), kUpload);
  next.done(0);
  EXPECT_TRUE(fixture.client.wait(
      [&] { return fixture.target().state() != Talker::State::running; }, seconds(100)));
  EXPECT_EQ(fixture.target().state(), Talker::State::finished);
  EXPECT_EQ(fixture.target().received(), kUpload);
}

TEST(SimHostileResume, hears_of_no_more_flows_than_a_session_may_have_had) {
  TunnelWorldConfig config;
  config.max_flows = 20;
  Fixture fixture(config);
  HostileLine& next = fixture.client.resume(fixture.client.log_in());
  const std::size_t most = 2 * (config.max_flows + limits::kSpareStreams);
  std::vector<std::uint64_t> ids;
  for (std::uint64_t id = 1; id <= most; ++id) ids.push_back(id);
  next.gone(ids);
  fixture.client.run_for(milliseconds(100));
  EXPECT_FALSE(next.wire.is_closed()) << "so many it may have refused";
  next.gone({most + 1, most + 2});
  EXPECT_TRUE(next.is_thrown_out(CloseCode::protocol_error)) << next.wire.close_reason();
  EXPECT_EQ(fixture.tunnel.shared.places->size(), 0U);
}

// Each time it comes back its flows may send more, and their targets read nothing.
TEST(SimHostileResume, makes_a_server_hold_no_more_than_a_session_may) {
  constexpr std::uint64_t kFlows = 20;
  TunnelWorldConfig config;
  config.transport.session_buffer_bytes = 2 << 20;
  config.transport.process_buffers = std::make_shared<buffers::ProcessBudget>(64 << 20);
  const auto process = config.transport.process_buffers;
  config.server_knobs.stream_buffer_bytes = 2'000;
  Fixture fixture(config);
  const Bytes endless =
      FlowPlan{.upload_bytes = 400'000'000, .read_chunk_bytes = 1, .read_pause_us = 4'000'000'000}
          .encode();
  const Bytes part(limits::kStreamWindowFirst / 2, 'x');  // all of it finds credit
  struct Flow {
    RawStream* stream = nullptr;
    std::uint64_t sent = 0;
    std::uint64_t heard = 0;
  };
  std::vector<Flow> flows(kFlows);
  HostileLine* line = &fixture.client.log_in();
  for (std::uint64_t id = 0; id < kFlows; ++id) {
    flows[id].stream = line->open(tcp(id + 1), endless);
    ASSERT_NE(flows[id].stream, nullptr);
    flows[id].sent = endless.size();
  }
  std::int64_t least_free = process->free_bytes();
  for (int time = 0; time < 16; ++time) {
    for (Flow& flow : flows) {
      if (flow.stream == nullptr) continue;
      line->wire.send(*flow.stream, part);
      flow.sent += part.size();
    }
    fixture.client.run_for(seconds(1));
    least_free = std::min(least_free, process->free_bytes());
    HostileLine& next = fixture.client.resume(*line);
    std::uint64_t count = 0;
    for (std::uint64_t id = 0; id < kFlows; ++id) {
      Flow& flow = flows[id];
      if (flow.stream == nullptr) continue;
      flow.heard += flow.stream->total_received;
      const bool is_reset = flow.stream->reset_code.has_value();
      flow.stream = is_reset ? nullptr : next.open(resumed(id + 1, flow.heard, flow.sent));
      ++count;
    }
    next.done(count);
    line = &next;
    fixture.client.run_for(milliseconds(100));
    for (Flow& flow : flows) {
      if (flow.stream != nullptr && flow.stream->reset_code) flow.stream = nullptr;
    }
  }
  const std::uint64_t dropped = fixture.stats().flows_dropped;
  EXPECT_GE(dropped, 1U);
  EXPECT_LT(dropped, kFlows) << "the largest only";
  EXPECT_EQ(fixture.stats().flows_active, kFlows - dropped);
  EXPECT_GE(least_free, (64 << 20) - (2 << 20));
}

}  // namespace
}  // namespace culvert::sim
