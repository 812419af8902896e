// Servers that break the rules of docs/protocol/culvert-1.md towards our client. What each
// rule's test is: the table at the end of that document.
#include "tests/sim/hostile_server.h"

#include "peer/flow_codes.h"
#include "session/chunk_frames.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace culvert::sim {
namespace {

using session::CloseCode;
using session::MessageBuilder;
using session::MessageType;
using std::chrono::milliseconds;
using std::chrono::seconds;

bool is_printable(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

// More than a text may have, and nothing that a terminal should see.
const std::string kNasty = std::string("\x1b[2J\x07\r\n", 7) + std::string(10'000, 'A');

void expect_harmless(const std::string& text) {
  EXPECT_TRUE(is_printable(text)) << text;
  EXPECT_LE(text.size(), limits::kReasonBytes + 200);
}

// --- the control stream -------------------------------------------------------------------------

struct WrongAnswer {
  std::string name;
  MessageType to;  // this message
  std::function<void(ServedLine&)> act;
};

TEST(SimHostileServer, is_left_when_it_breaks_the_rules_of_logging_in) {
  const auto say = [](const MessageBuilder& message) {
    return [message](ServedLine& line) { line.say(message); };
  };
  const auto id = HostileServerWorld::session_id();
  const auto challenge = [] { return HostileServerWorld::challenge(); };
  const std::vector<WrongAnswer> answers{
      {"Accepted before a proof", MessageType::hello, say(HostileServerWorld::accepted())},
      {"no nonce", MessageType::hello,
       say(MessageBuilder(MessageType::challenge).number(2, 2).number(3, 1))},
      {"half a nonce", MessageType::hello,
       say(MessageBuilder(MessageType::challenge).bytes(1, id).number(2, 2).number(3, 1))},
      {"another version", MessageType::hello,
       say(MessageBuilder(MessageType::challenge)
               .bytes(1, std::array<std::uint8_t, 32>{})
               .number(2, 2)
               .number(3, 2))},
      {"two challenges", MessageType::proof, say(challenge())},
      {"Resumed that nobody asked for", MessageType::proof,
       say(MessageBuilder(MessageType::resumed).bytes(1, id).number(3, 0).number(4, 60))},
      {"ResumeFailed that nobody asked for", MessageType::proof,
       say(MessageBuilder(MessageType::resume_failed))},
      {"Joined that nobody asked for", MessageType::proof,
       say(MessageBuilder(MessageType::joined).bytes(1, id))},
      {"Accepted without an id", MessageType::proof,
       say(MessageBuilder(MessageType::accepted).number(2, 9))},
      {"Refused without a code", MessageType::proof, say(MessageBuilder(MessageType::refused))},
      {"a longer message than one may be", MessageType::hello,
       [](ServedLine& line) { line.wire.send(*line.control, Bytes{2, 0x80, 0, 0x40, 1}); }},
      {"a tag twice", MessageType::hello, say(challenge().number(4, 1))},
      {"the end instead of an answer", MessageType::hello,
       [](ServedLine& line) { line.wire.finish(*line.control); }},
      {"a reset instead of an answer", MessageType::hello,
       [](ServedLine& line) { line.wire.reset(*line.control, 0); }},
  };
  for (const WrongAnswer& answer : answers) {
    SCOPED_TRACE(answer.name);
    HostileServerWorld world;
    world.on_message = [&](ServedLine& line, const HeardMessage& message) {
      if (message.type != answer.to) return false;
      answer.act(line);
      return true;
    };
    EXPECT_FALSE(world.connect());
    ASSERT_TRUE(world.end_error);
    EXPECT_EQ(world.end_error->kind, ErrorKind::protocol) << world.end_error->text();
    world.world.run_for(milliseconds(100));
    EXPECT_EQ(world.line().wire.close_code(),
              static_cast<std::uint64_t>(CloseCode::protocol_error));
  }
}

TEST(SimHostileServer, is_left_when_it_never_answers) {
  HostileServerWorld world;
  world.on_message = [](ServedLine&, const HeardMessage&) { return true; };
  world.start_client();
  EXPECT_TRUE(world.wait([&] { return world.is_finished; },
                         limits::kHandshakeTimeout + limits::kDialTimeout));
  ASSERT_TRUE(world.end_error);
  expect_harmless(world.end_error->text());
}

TEST(SimHostileServer, has_its_words_cut_and_cleaned) {
  {
    HostileServerWorld world;
    world.on_message = [](ServedLine& line, const HeardMessage& message) {
      if (!message.is(MessageType::proof)) return false;
      line.say(MessageBuilder(MessageType::refused).number(1, 1).text(2, kNasty));
      return true;
    };
    EXPECT_FALSE(world.connect());
    ASSERT_TRUE(world.end_error);
    EXPECT_EQ(world.end_error->kind, ErrorKind::authentication);
    expect_harmless(world.end_error->text());
  }
  HostileServerWorld world;
  world.on_flow = [](ServedLine& line, ServedLine::Flow& flow) {
    // As bytes: our own encoder would cut it.
    Bytes reply;
    MessageBuilder(MessageType::flow_refused).number(1, 1).text(2, kNasty).append_to(reply);
    line.wire.send(*flow.stream, reply);
    line.wire.finish(*flow.stream);
    return true;
  };
  ASSERT_TRUE(world.connect());
  Talker& caller = world.call();
  EXPECT_TRUE(world.wait([&] { return caller.state() != Talker::State::running; }));
  world.line().wire.close(4, kNasty.substr(0, 800));
  world.world.run_for(milliseconds(100));
  EXPECT_EQ(world.count(peer::RoleEventKind::flow_refused), 1U);
  EXPECT_EQ(world.count(peer::RoleEventKind::session_lost), 1U);
  for (const peer::RoleEvent& event : world.events) expect_harmless(event.detail);
}

TEST(SimHostileServer, is_not_asked_again_before_it_said) {
  HostileServerWorld world;
  ASSERT_TRUE(world.connect());
  int refusals = 0;
  world.on_message = [&](ServedLine& line, const HeardMessage& message) {
    if (!message.is(MessageType::resume) || refusals == 1) return false;
    ++refusals;
    line.say(MessageBuilder(MessageType::refused).number(1, 3).text(2, "wait").number(3, 50));
    return true;
  };
  world.line().wire.close(static_cast<std::uint64_t>(CloseCode::moved));
  ASSERT_TRUE(world.wait([&] { return refusals == 1; }));
  const Instant refused = world.world.now();
  ASSERT_TRUE(world.wait([&] { return world.lines.size() == 3; }, seconds(200)));
  EXPECT_GE(world.world.now() - refused, seconds(50));
  EXPECT_LE(world.world.now() - refused, seconds(70));
}

TEST(SimHostileServer, may_say_what_we_do_not_know_and_end_its_control_stream) {
  HostileServerWorld world;
  world.on_message = [](ServedLine& line, const HeardMessage& message) {
    if (message.is(MessageType::hello)) {
      line.say(MessageBuilder(static_cast<MessageType>(4'711)).bytes(1, Bytes(16'000, 1)));
    }
    return false;
  };
  ASSERT_TRUE(world.connect());
  world.line().wire.finish(*world.line().control);
  world.line().wire.stop_sending(*world.line().control, 0);
  world.world.run_for(seconds(1));
  world.call();
  EXPECT_TRUE(world.wait([&] { return world.line().flows.size() == 1; }));
  EXPECT_FALSE(world.line().wire.is_closed());
}

// Flows that begin meanwhile wait for it to come back, as long as for one that is lost.
TEST(SimHostileServer, that_says_goodbye_gets_no_more_flows) {
  for (const bool comes_back : {false, true}) {
    HostileServerWorld world;
    ASSERT_TRUE(world.connect());
    world.line().say(MessageBuilder(MessageType::goodbye).number(1, 0).text(2, kNasty));
    world.world.run_for(milliseconds(100));
    Talker& caller = world.call();
    world.world.run_for(seconds(1));
    EXPECT_EQ(world.line().flows.size(), 0U);
    EXPECT_EQ(caller.state(), Talker::State::running);
    if (!comes_back) {
      EXPECT_TRUE(world.wait([&] { return caller.state() == Talker::State::reset; },
                             limits::kWaitingFlowTimeout));
      EXPECT_EQ(world.client->stats().flows_unserved, 1U);
      continue;
    }
    world.line().wire.close(static_cast<std::uint64_t>(CloseCode::shutting_down));
    EXPECT_TRUE(world.wait([&] { return world.lines.size() == 2 && !world.line().flows.empty(); }));
  }
}

// Only the client opens streams.
TEST(SimHostileServer, opens_streams_for_nothing) {
  HostileServerWorld world;
  std::vector<RawStream*> opened;
  const auto open_one = [&](ServedLine& line) {
    RawStream* stream = line.wire.open_stream();
    if (stream == nullptr) return;
    line.wire.send(*stream, Bytes(1'000, 'x'));
    opened.push_back(stream);
  };
  world.on_message = [&](ServedLine& line, const HeardMessage&) {
    open_one(line);
    return false;
  };
  ASSERT_TRUE(world.connect());
  world.world.run_for(milliseconds(100));
  for (int i = 0; i < 20; ++i) {
    open_one(world.line());
    world.world.run_for(milliseconds(100));
  }
  EXPECT_GT(opened.size(), 10U);
  for (const RawStream* stream : opened) {
    EXPECT_TRUE(stream->is_over());
    EXPECT_TRUE(stream->reset_code);
  }
  EXPECT_FALSE(world.line().wire.is_closed());
  EXPECT_EQ(world.client->stats().flows_opened, 0U);
}

// --- flows --------------------------------------------------------------------------------------

TEST(SimHostileServer, costs_a_flow_by_a_reply_that_cannot_be_read) {
  Bytes too_long;
  ByteWriter writer(too_long);
  writer.varint(65);
  writer.varint(limits::kControlMessageBytes + 1);
  const std::vector<std::pair<std::string, Bytes>> replies{
      {"too long", too_long},
      {"another message", Bytes{1, 0}},
      {"a field that is cut off", Bytes{0x40, 0x41, 2, 1, 9}},
      {"half of one, and the end", Bytes{0x40}},
      {"nothing, and the end", Bytes{}},
  };
  for (const auto& [name, bytes] : replies) {
    HostileServerWorld world;
    world.on_flow = [&](ServedLine& line, ServedLine::Flow& flow) {
      line.wire.send(*flow.stream, bytes);
      line.wire.finish(*flow.stream);
      return true;
    };
    ASSERT_TRUE(world.connect());
    Talker& caller = world.call({.seed = 1, .upload_bytes = 100'000, .download_bytes = 5});
    EXPECT_TRUE(world.wait([&] { return caller.state() != Talker::State::running; })) << name;
    EXPECT_EQ(caller.state(), Talker::State::reset) << name;
    EXPECT_EQ(world.client->stats().flows_active, 0U) << name;
    EXPECT_FALSE(world.line().wire.is_closed()) << name;
  }
}

TEST(SimHostileServer, sends_datagrams_of_no_flow_for_nothing) {
  HostileServerWorld world;
  ASSERT_TRUE(world.connect());
  for (const Bytes& datagram : {Bytes{}, Bytes{0x41}, Bytes{9, 'x'}, Bytes{0xff}}) {
    world.line().wire.send_datagram(datagram);
  }
  world.world.run_for(milliseconds(100));
  EXPECT_EQ(world.client->stats().udp_dropped, 4U);
  EXPECT_EQ(world.client->stats().bytes_down, 0U);
}

TEST(SimHostileServer, that_grants_no_streams_keeps_only_so_many_waiting) {
  HostileServerWorld world;
  world.on_message = [](ServedLine& line, const HeardMessage& message) {
    if (!message.is(MessageType::proof)) return false;
    line.say(HostileServerWorld::accepted());
    return true;
  };
  ASSERT_TRUE(world.connect());
  for (std::size_t i = 0; i < limits::kMaxWaitingFlows; ++i) world.call();
  world.world.run_for(seconds(1));
  EXPECT_TRUE(std::ranges::all_of(
      world.callers, [](const auto& caller) { return caller->state() == Talker::State::running; }));
  Talker& more = world.call();
  EXPECT_TRUE(world.wait([&] { return more.state() == Talker::State::reset; }));
}

// As a tunnel-rs server does with its 100 streams: waiting would be for ever.
TEST(SimHostileServer, that_grants_no_streams_is_not_waited_for_long) {
  HostileServerWorld world;
  world.on_message = [](ServedLine& line, const HeardMessage& message) {
    if (!message.is(MessageType::proof)) return false;
    line.say(HostileServerWorld::accepted());
    return true;
  };
  ASSERT_TRUE(world.connect());
  Talker& first = world.call();
  ASSERT_TRUE(world.wait([&] { return first.state() != Talker::State::running; }));
  EXPECT_EQ(first.state(), Talker::State::reset);
  EXPECT_EQ(world.client->stats().flows_unserved, 1U);
  // It is known by then, so that the next one hears it at once.
  Talker& second = world.call();
  EXPECT_TRUE(world.wait([&] { return second.state() == Talker::State::reset; }, milliseconds(50)));
  EXPECT_EQ(world.client->stats().flows_unserved, 2U);
  EXPECT_FALSE(world.is_finished);
}

// --- resuming -----------------------------------------------------------------------------------

TEST(SimHostileServer, is_left_when_it_resumes_another_session) {
  HostileServerWorld world;
  ASSERT_TRUE(world.connect());
  world.on_message = [](ServedLine& line, const HeardMessage& message) {
    if (!message.is(MessageType::resume)) return false;
    line.say(MessageBuilder(MessageType::resumed)
                 .bytes(1, session::SessionId{9})
                 .number(3, 0)
                 .number(4, 60));
    return true;
  };
  world.line().wire.close(static_cast<std::uint64_t>(CloseCode::moved));
  ASSERT_TRUE(world.wait([&] { return world.lines.size() == 2 && world.line().wire.is_closed(); }));
  EXPECT_EQ(world.line().wire.close_code(), static_cast<std::uint64_t>(CloseCode::protocol_error));
  EXPECT_EQ(world.client->stats().sessions_resumed, 0U);
}

TEST(SimHostileServer, may_grant_fewer_streams_than_flows_go_on) {
  constexpr std::size_t kFlows = 5;
  HostileServerWorld world;
  ASSERT_TRUE(world.connect());
  for (std::size_t i = 0; i < kFlows; ++i) world.call();
  ASSERT_TRUE(world.wait([&] { return world.line().flows.size() == kFlows; }));
  world.on_message = [](ServedLine& line, const HeardMessage& message) {
    if (!message.is(MessageType::resume)) return false;
    line.say(HostileServerWorld::resumed());
    line.wire.allow_streams(3);  // of which one is the control stream
    return true;
  };
  world.line().wire.close(static_cast<std::uint64_t>(CloseCode::moved));
  ASSERT_TRUE(
      world.wait([&] { return world.lines.size() == 2 && world.line().flows.size() == 2; }));
  world.world.run_for(seconds(1));
  EXPECT_EQ(world.line().flows.size(), 2U);
  EXPECT_FALSE(world.line().heard.back().is(MessageType::resume_done));
  world.line().wire.allow_streams(100);
  ASSERT_TRUE(world.wait([&] { return world.line().heard.back().is(MessageType::resume_done); }));
  EXPECT_EQ(world.line().heard.back().number(1), kFlows);
  EXPECT_EQ(world.line().flows.size(), kFlows);
  EXPECT_EQ(world.client->stats().flows_active, kFlows);
}

TEST(SimHostileServer, is_told_of_flows_that_ended_while_it_was_away) {
  HostileServerWorld world;
  world.client_knobs.stream_buffer_bytes = 2'000;
  world.on_flow = [](ServedLine& line, ServedLine::Flow& flow) {
    line.reply(*flow.stream, session::FlowAccepted{"127.0.0.1:9"});
    line.wire.send(*flow.stream, Bytes(limits::kStreamWindowFirst / 2, 'x'));
    return true;
  };
  ASSERT_TRUE(world.connect());
  world.call({.download_bytes = 100'000, .read_chunk_bytes = 1, .read_pause_us = 1'000'000});
  world.world.run_for(milliseconds(100));
  ASSERT_EQ(world.line().flows.size(), 1U);
  const std::uint64_t id = world.line().flows[0].open.flow_id;
  world.client_machine.uplink().is_down = true;
  world.line().wire.close(static_cast<std::uint64_t>(CloseCode::moved));
  world.world.run_for(milliseconds(100));
  world.callers.clear();  // with bytes that it has not read: a reset
  world.world.run_for(milliseconds(100));
  world.client_machine.uplink().is_down = false;
  ASSERT_TRUE(world.wait([&] {
    return world.lines.size() == 2 && world.line().heard.size() > 1 &&
           world.line().heard.back().is(MessageType::resume_done);
  }));
  EXPECT_EQ(world.line().heard.back().number(1), 1U);
  const HeardMessage& gone = world.line().heard.at(world.line().heard.size() - 2);
  ASSERT_TRUE(gone.is(MessageType::flows_gone));
  EXPECT_EQ(session::decode_flow_ids(gone.bytes(1)), std::vector<std::uint64_t>{id});
  EXPECT_EQ(world.line().flows.size(), 0U);
}

// A flow whose upload the server does not read, and whose download it has sent whole: less than
// the first window lets, and more than the caller has taken.
struct HalfDone {
  static constexpr std::uint32_t kDownload = limits::kStreamWindowFirst / 4 * 3;
  HalfDone() {
    world.client_knobs.stream_buffer_bytes = 2'000;
    world.reads_flows = false;
    world.on_flow = [this](ServedLine& line, ServedLine::Flow& flow) {
      if (flow.open.resume) {
        ++resumed;
        line.wire.reset(*flow.stream, peer::kUnknown);
        return true;
      }
      line.reply(*flow.stream, session::FlowAccepted{"127.0.0.1:9"});
      line.wire.send(*flow.stream, Bytes(kDownload, 'x'));
      if (has_ended) line.wire.finish(*flow.stream);
      return true;
    };
  }
  // With the connection lost while the caller still reads. Its end.
  Talker& run() {
    EXPECT_TRUE(world.connect());
    // More than the window of a stream that is used lets, and all of it read from the caller: its
    // end is known, and never acknowledged.
    Talker& caller =
        world.call({.seed = 1,
                    .upload_bytes = limits::kStreamWindowStart + limits::kBlockedOutput / 2,
                    .download_bytes = kDownload,
                    .read_chunk_bytes = 100,
                    .read_pause_us = 20'000});
    world.world.run_for(milliseconds(500));
    EXPECT_EQ(caller.state(), Talker::State::running);
    world.line().wire.close(static_cast<std::uint64_t>(CloseCode::moved));
    EXPECT_TRUE(world.wait([&] { return caller.state() != Talker::State::running; }, seconds(30)));
    EXPECT_EQ(resumed, 1);
    return caller;
  }
  HostileServerWorld world;
  bool has_ended = true;
  int resumed = 0;
};

// It has everything and has forgotten the flow; what is still on its way here is not lost.
TEST(SimHostileServer, may_have_forgotten_flows_that_were_over_in_order) {
  HalfDone half;
  Talker& caller = half.run();
  EXPECT_EQ(caller.state(), Talker::State::finished);
  EXPECT_EQ(caller.received(), HalfDone::kDownload);
  EXPECT_FALSE(half.world.line().wire.is_closed());
}

TEST(SimHostileServer, cannot_forget_flows_that_were_not_over) {
  HalfDone half;
  half.has_ended = false;
  EXPECT_EQ(half.run().state(), Talker::State::reset);
}

// --- several paths -------------------------------------------------------------------------------

// The same of a striped flow, which has legs instead of a stream: each may be forgotten.
TEST(SimHostileServer, may_have_forgotten_striped_flows_that_were_over_in_order) {
  for (const bool has_ended : {true, false}) {
    HostileServerWorld world;
    world.multipath = Multipath::aggregate;
    world.client_knobs.stream_buffer_bytes = 2'000;
    world.on_flow = [&](ServedLine& line, ServedLine::Flow& flow) {
      Bytes bytes;
      session::encode_flow_reply(session::Dialect::culvert_1, session::FlowAccepted{"127.0.0.1:9"},
                                 bytes);
      bytes.resize(bytes.size() + HalfDone::kDownload, 'x');
      const auto data = session::encode_chunk_header(session::ChunkKind::data, 0, bytes.size());
      line.wire.send(*flow.stream, data.view());
      line.wire.send(*flow.stream, bytes);
      if (!has_ended) return true;
      const auto end = session::encode_chunk_header(session::ChunkKind::end, bytes.size(), 0);
      line.wire.send(*flow.stream, end.view());
      return true;
    };
    ASSERT_TRUE(world.connect());
    Talker& caller = world.call({.seed = 1,
                                 .download_bytes = HalfDone::kDownload,
                                 .read_chunk_bytes = 100,
                                 .read_pause_us = 20'000});
    world.world.run_for(milliseconds(500));
    ASSERT_EQ(caller.state(), Talker::State::running);
    world.line().wire.reset(*world.line().flows.front().stream, peer::kUnknown);
    EXPECT_TRUE(world.wait([&] { return caller.state() != Talker::State::running; }, seconds(30)));
    EXPECT_EQ(caller.state(), has_ended ? Talker::State::finished : Talker::State::reset);
    EXPECT_EQ(caller.received() == HalfDone::kDownload, has_ended);
  }
}

TEST(SimHostileServer, costs_a_path_by_a_wrong_answer_to_join) {
  const std::vector<std::pair<std::string, MessageBuilder>> answers{
      {"another session", MessageBuilder(MessageType::joined).bytes(1, session::SessionId{9})},
      {"no session", MessageBuilder(MessageType::joined)},
      {"a new session", HostileServerWorld::accepted()},
      {"the session itself", HostileServerWorld::resumed()},
      {"no such session, which is for Resume", MessageBuilder(MessageType::resume_failed)},
  };
  for (const auto& [name, answer] : answers) {
    HostileServerWorld world;
    world.add_client_address();
    world.on_message = [&](ServedLine& line, const HeardMessage& message) {
      if (!message.is(MessageType::join)) return false;
      line.say(answer);
      return true;
    };
    ASSERT_TRUE(world.connect());
    world.world.run_for(seconds(20));
    // After 2, 4 and 8 s.
    EXPECT_GE(world.lines.size(), 3U) << name;
    EXPECT_LE(world.lines.size(), 6U) << name;
    EXPECT_EQ(world.client->paths().size(), 1U) << name;
    EXPECT_FALSE(world.lines.front()->wire.is_closed()) << name;
    EXPECT_EQ(world.lines.at(1)->wire.close_code(),
              static_cast<std::uint64_t>(CloseCode::protocol_error))
        << name;
  }
}

TEST(SimHostileServer, costs_a_path_by_what_it_says_there_afterwards) {
  HostileServerWorld world;
  world.add_client_address();
  ASSERT_TRUE(world.connect());
  ASSERT_TRUE(world.wait([&] { return world.client->paths().size() == 2; }));
  ServedLine& lane = world.line();
  lane.say(HostileServerWorld::resumed());  // nobody has asked for it
  ASSERT_TRUE(world.wait([&] { return lane.wire.is_closed(); }));
  EXPECT_EQ(lane.wire.close_code(), static_cast<std::uint64_t>(CloseCode::protocol_error));
  EXPECT_EQ(world.client->paths().size(), 1U);
  EXPECT_FALSE(world.lines.front()->wire.is_closed());
}

TEST(SimHostileServer, costs_a_striped_flow_by_chunks_that_break_the_rules) {
  HostileServerWorld world;
  world.multipath = Multipath::aggregate;
  world.on_flow = [](ServedLine& line, ServedLine::Flow& flow) {
    EXPECT_EQ(flow.open.multipath, Multipath::aggregate);
    const auto header =
        session::encode_chunk_header(session::ChunkKind::data, limits::kStripeWindowMax, 1);
    line.wire.send(*flow.stream, header.view());
    line.wire.send(*flow.stream, Bytes{'x'});
    return true;
  };
  ASSERT_TRUE(world.connect());
  Talker& caller = world.call();
  EXPECT_TRUE(world.wait([&] { return caller.state() == Talker::State::reset; }));
  RawStream* leg = world.line().flows.front().stream;
  EXPECT_TRUE(world.wait([&] { return leg->reset_code.has_value(); }));
  EXPECT_EQ(leg->reset_code, peer::kProtocolError);
  EXPECT_FALSE(world.line().wire.is_closed());
}

// A client that has something to say to it does not keep that to itself: a server which does not
// know that flows are over would wait for them.
TEST(SimHostileServer, is_left_when_it_does_not_take_what_it_must_know) {
  HostileServerWorld world;
  world.multipath = Multipath::aggregate;
  std::size_t said = 0;
  world.on_message = [&](ServedLine&, const HeardMessage& message) {
    if (message.is(MessageType::flows_gone)) ++said;
    return false;
  };
  ASSERT_TRUE(world.connect());
  const FlowPlan brief{.seed = 1, .upload_bytes = 10'000, .caller_resets_after = 1'000};
  // It reads later what it has not read at first ...
  ServedLine& line = world.line();
  line.control->is_reading = false;
  world.call(brief);
  world.world.run_for(seconds(1));
  EXPECT_EQ(said, 0U);
  line.control->is_reading = true;
  world.call(brief);
  EXPECT_TRUE(world.wait([&] { return said == 2; })) << said;
  EXPECT_FALSE(line.wire.is_closed());
  // ... or never again.
  line.wire.stop_sending(*line.control, 0);
  world.world.run_for(seconds(1));
  EXPECT_FALSE(line.wire.is_closed());
  world.call(brief);
  EXPECT_TRUE(world.wait([&] { return line.wire.is_closed(); }));
  EXPECT_EQ(line.wire.close_code(), static_cast<std::uint64_t>(CloseCode::protocol_error));
  EXPECT_EQ(world.client->stats().connections_unread, 1U);
}

}  // namespace
}  // namespace culvert::sim
