// Clients that break the rules of the control stream (docs/protocol/culvert-1.md 1 to 4, and the
// messages of 7 and 8). What each rule's test is: the table at the end of that document.
#include "base/limits.h"
#include "session/culvert1_handshake.h"
#include "tests/sim/hostile_client.h"

#include <gtest/gtest.h>

#include <array>
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

// Whatever a client did to itself, the next one is served and nothing of the first is left.
void expect_unharmed(TunnelWorld& tunnel) {
  tunnel.world.run_for(seconds(1));
  EXPECT_EQ(tunnel.servers[0]->stats().sessions_active, 0U);
  EXPECT_EQ(tunnel.shared.places->size(), 0U);
  HostileClient other(tunnel, 99);
  EXPECT_TRUE(other.connect().log_in());
}

struct Breach {
  std::string name;
  std::function<void(HostileLine&)> act;
};

// Raw bytes of a message whose body is `body`.
Bytes message_of(std::uint64_t type, ByteView body) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.varint(type);
  writer.prefixed(body);
  return bytes;
}

MessageBuilder gone_of(std::size_t count) {
  const Bytes ids(count, 1);  // each the varint 1
  MessageBuilder message(MessageType::flows_gone);
  message.bytes(1, ids);
  return message;
}

const std::vector<Breach>& breaches() {
  const std::array<std::uint8_t, 32> mac{};
  const std::array<std::uint8_t, 16> id{};
  const std::array<std::uint8_t, 1> versions{1};
  static const std::vector<Breach> all{
      {"a proof before Hello", [](HostileLine& line) { line.say(line.proof()); }},
      {"Hello twice",
       [=](HostileLine& line) {
         line.greet();
         line.say(MessageBuilder(MessageType::hello).bytes(1, versions));
       }},
      {"Hello without versions",
       [](HostileLine& line) { line.say(MessageBuilder(MessageType::hello).number(2, 3)); }},
      {"a proof without a kind",
       [=](HostileLine& line) {
         line.greet();
         line.say(MessageBuilder(MessageType::proof).bytes(2, mac));
       }},
      {"a number that does not fill its field",
       [](HostileLine& line) {
         line.greet();
         const std::array<std::uint8_t, 2> two{1, 1};
         line.say(MessageBuilder(MessageType::proof).bytes(1, two));
       }},
      {"a tag twice",
       [=](HostileLine& line) {
         line.say(MessageBuilder(MessageType::hello).bytes(1, versions).bytes(1, versions));
       }},
      {"more fields than a message may have",
       [=](HostileLine& line) {
         MessageBuilder hello(MessageType::hello);
         hello.bytes(1, versions);
         for (std::uint64_t tag = 0; tag < session::Message::kMaxFields; ++tag) {
           hello.bytes(1'000 + tag, {});
         }
         line.say(hello);
       }},
      {"a longer message than one may be",
       [](HostileLine& line) {
         Bytes head;
         ByteWriter writer(head);
         writer.varint(1);
         writer.varint(limits::kControlMessageBytes + 1);
         line.say(head);
       }},
      {"a field that is longer than its message",
       [](HostileLine& line) { line.say(message_of(1, Bytes{1, 40, 1})); }},
      {"the end before the proof",
       [](HostileLine& line) {
         line.greet();
         line.wire.finish(line.control);
       }},
      {"a reset before the proof",
       [](HostileLine& line) {
         line.greet();
         line.wire.reset(line.control, 0);
       }},
      {"another proof after the first",
       [](HostileLine& line) {
         line.log_in();
         line.say(line.proof());
       }},
      {"ResumeDone in one breath with the proof",
       [](HostileLine& line) {
         line.greet();
         Bytes both;
         line.proof().append_to(both);
         MessageBuilder(MessageType::resume_done).number(1, 0).append_to(both);
         line.say(both);
       }},
      {"Resume without the feature",
       [=](HostileLine& line) {
         line.greet(0);
         line.say(MessageBuilder(MessageType::resume).bytes(1, id).bytes(2, mac));
       }},
      {"Resume twice",
       [=](HostileLine& line) {
         line.greet();
         line.resume(id, session::ResumeKey(mac));
         line.say(MessageBuilder(MessageType::resume).bytes(1, id).bytes(2, mac));
       }},
      {"Resume after Accepted",
       [=](HostileLine& line) {
         line.log_in();
         line.say(MessageBuilder(MessageType::resume).bytes(1, id).bytes(2, mac));
       }},
      {"Resume with half a MAC",
       [=](HostileLine& line) {
         line.greet();
         line.say(MessageBuilder(MessageType::resume).bytes(1, id).bytes(2, id));
       }},
      {"Join without the feature",
       [=](HostileLine& line) {
         line.greet(session::kFeatureResume);
         line.say(MessageBuilder(MessageType::join).bytes(1, id).bytes(2, mac));
       }},
      {"Join after Accepted",
       [=](HostileLine& line) {
         line.log_in();
         line.say(MessageBuilder(MessageType::join).bytes(1, id).bytes(2, mac));
       }},
      {"Promote of a connection that has not joined",
       [=](HostileLine& line) {
         line.log_in();
         line.say(MessageBuilder(MessageType::promote).bytes(1, mac));
       }},
      {"ResumeDone without Resume",
       [](HostileLine& line) {
         line.log_in();
         line.done(0);
       }},
      {"FlowsGone before Accepted",
       [](HostileLine& line) {
         line.greet();
         line.gone({1});
       }},
      {"FlowsGone without the feature",
       [](HostileLine& line) {
         line.log_in(0);
         line.gone({1});
       }},
      {"FlowsGone with more ids than a message may have",
       [](HostileLine& line) {
         line.log_in();
         line.say(gone_of(limits::kMaxGoneIds + 1));
       }},
      {"FlowsGone with half an id",
       [](HostileLine& line) {
         line.log_in();
         line.say(MessageBuilder(MessageType::flows_gone).bytes(1, Bytes{0x40}));
       }},
  };
  return all;
}

TEST(SimHostileControl, is_thrown_out_for_every_breach) {
  for (const Breach& breach : breaches()) {
    SCOPED_TRACE(breach.name);
    TunnelWorld tunnel(1, {});
    HostileClient client(tunnel);
    HostileLine& line = client.connect();
    breach.act(line);
    EXPECT_TRUE(line.is_thrown_out(CloseCode::protocol_error))
        << line.wire.close_code().value_or(999) << " " << line.wire.close_reason();
    expect_unharmed(tunnel);
  }
}

TEST(SimHostileControl, may_say_what_we_do_not_know) {
  TunnelWorld tunnel(1, {});
  HostileClient client(tunnel);
  HostileLine& line = client.connect();
  const Bytes noise(limits::kControlMessageBytes - 10, 0xee);
  line.say(message_of(23, Bytes{}));
  line.say(MessageBuilder(static_cast<MessageType>(1'000'000)).bytes(7, noise));
  ASSERT_TRUE(line.greet(~std::uint64_t{0} >> 2));  // every feature there may ever be
  line.say(line.proof().bytes(99, Bytes{1, 2, 3}));
  const auto accepted = line.hear();
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(accepted->is(MessageType::accepted));
  line.say(gone_of(limits::kMaxGoneIds));
  client.run_for(seconds(1));
  EXPECT_FALSE(line.wire.is_closed());
}

TEST(SimHostileControl, is_refused_with_a_version_that_nobody_has) {
  TunnelWorld tunnel(1, {});
  HostileClient client(tunnel);
  HostileLine& line = client.connect();
  line.say(MessageBuilder(MessageType::hello).bytes(1, Bytes{2, 77}));
  const auto refused = line.hear();
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->is(MessageType::refused));
  EXPECT_EQ(refused->number(1), static_cast<std::uint64_t>(CloseCode::protocol_error));
  EXPECT_TRUE(line.is_thrown_out(CloseCode::protocol_error));
}

// Whether it is silent, or sends a byte now and then.
TEST(SimHostileControl, has_as_long_to_log_in_as_the_document_says) {
  for (const bool drips : {false, true}) {
    TunnelWorld tunnel(1, {});
    HostileClient client(tunnel);
    const Instant begun = tunnel.world.now();
    HostileLine& line = client.connect();
    ASSERT_TRUE(line.greet());
    const Bytes endless = message_of(1'000, Bytes(10'000, 0));
    for (std::size_t i = 0; i < 20 && !line.wire.is_closed(); ++i) {
      if (drips) line.say(ByteView(endless).subspan(i, 1));
      client.run_for(seconds(1));
    }
    EXPECT_TRUE(line.is_thrown_out(CloseCode::auth_timeout)) << drips;
    EXPECT_LE(line.wire.closed_at() - begun, limits::kHandshakeTimeout + seconds(1));
    expect_unharmed(tunnel);
  }
}

TEST(SimHostileControl, gets_nowhere_with_a_proof_that_is_not_of_this_connection) {
  TunnelWorld tunnel(1, {});
  HostileClient client(tunnel);
  HostileLine& other = client.connect();
  ASSERT_TRUE(other.greet());
  const std::string_view token = tunnel.token().reveal();
  const std::array<std::uint8_t, 32> nothing{};
  for (int attempt = 0; attempt < 4; ++attempt) {
    HostileLine& line = client.connect();
    ASSERT_TRUE(line.greet());
    MessageBuilder proof(MessageType::proof);
    proof.number(1, 1);
    switch (attempt) {
      case 0:  // as a server would have it that passes a proof on
        proof.bytes(2, session::token_proof(token, other.exporter(), other.nonce()));
        break;
      case 1:
        proof.bytes(2, session::token_proof(token, line.exporter(), other.nonce()));
        break;
      case 2:
        proof.bytes(2, session::token_proof("another token", line.exporter(), line.nonce()));
        break;
      default:
        proof.bytes(2, nothing);
    }
    line.say(proof);
    const auto refused = line.hear();
    ASSERT_TRUE(refused) << attempt;
    EXPECT_TRUE(refused->is(MessageType::refused)) << attempt;
    EXPECT_EQ(refused->number(1), static_cast<std::uint64_t>(CloseCode::auth_failed));
    EXPECT_TRUE(client.wait([&] { return line.control.has_ended; })) << "FIN follows";
    // Too late.
    line.say(line.proof());
    EXPECT_TRUE(line.is_thrown_out(CloseCode::auth_failed)) << attempt;
  }
  EXPECT_EQ(tunnel.servers[0]->stats().sessions_accepted, 0U);
}

TEST(SimHostileControl, may_open_nothing_before_it_is_accepted) {
  TunnelWorld tunnel(1, {});
  HostileClient client(tunnel);
  HostileLine& line = client.connect();
  EXPECT_EQ(line.open({.source = std::string(kTarget), .flow_id = 1}), nullptr);
  ASSERT_TRUE(line.greet());
  EXPECT_EQ(line.open({.source = std::string(kTarget), .flow_id = 1}), nullptr);
  line.wire.send_datagram(Bytes{1, 'h', 'i'});
  client.run_for(milliseconds(100));
  EXPECT_EQ(tunnel.servers[0]->stats().udp_dropped, 1U);
  line.say(line.proof());
  client.run_for(milliseconds(100));
  EXPECT_NE(line.open({.source = std::string(kTarget), .flow_id = 1}), nullptr);
  client.run_for(milliseconds(100));
  EXPECT_EQ(tunnel.talkers->talkers().size(), 1U);
}

// It costs the client the words it could have said; its flows go on.
TEST(SimHostileControl, may_lose_its_control_stream_after_accepted) {
  for (const bool resets : {false, true}) {
    TunnelWorld tunnel(1, {});
    HostileClient client(tunnel);
    HostileLine& line = client.log_in();
    line.wire.stop_sending(line.control, 0);
    resets ? line.wire.reset(line.control, 0) : line.wire.finish(line.control);
    client.run_for(milliseconds(100));
    const FlowPlan plan{.seed = 5, .download_bytes = 1'000};
    RawStream* flow = line.open({.source = std::string(kTarget), .flow_id = 1}, plan.encode());
    ASSERT_NE(flow, nullptr);
    EXPECT_TRUE(client.wait([&] { return flow->has_ended; }));
    // Whose goodbye has nowhere to go.
    tunnel.servers[0]->stop(tunnel.world.now(), [](Instant) {});
    EXPECT_TRUE(line.is_thrown_out(CloseCode::shutting_down, seconds(10)));
  }
}

TEST(SimHostileControl, may_say_goodbye_and_go_on) {
  TunnelWorld tunnel(1, {});
  HostileClient client(tunnel);
  HostileLine& line = client.log_in();
  for (int i = 0; i < 100; ++i) {
    line.say(
        MessageBuilder(MessageType::goodbye).number(1, 0).text(2, std::string(16'000, '\x1b')));
  }
  client.run_for(seconds(1));
  EXPECT_FALSE(line.wire.is_closed());
  EXPECT_EQ(tunnel.servers[0]->stats().sessions_active, 1U);
}

// Not even a byte of the answer is taken: what the server wants to say is bounded.
TEST(SimHostileControl, need_not_read_what_it_is_told) {
  TunnelWorld tunnel(1, {});
  HostileClient client(tunnel);
  HostileLine& line = client.log_in();
  line.control.is_reading = false;
  tunnel.servers[0]->stop(tunnel.world.now(), [](Instant) {});
  EXPECT_TRUE(line.is_thrown_out(CloseCode::shutting_down, seconds(10)));
}

}  // namespace
}  // namespace culvert::sim
