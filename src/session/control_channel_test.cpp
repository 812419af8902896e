#include "session/control_channel.h"

#include "base/encoding.h"
#include "base/limits.h"
#include "session/control_pair.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

namespace culvert::session {
namespace {

// Takes whatever comes in its range.
struct Listener final : ControlExtension {
  Decoded<bool> handle(const Message& message) override {
    if (error) return std::unexpected(*error);
    if (takes) types.push_back(message.type);
    return takes;
  }

  std::vector<std::uint64_t> types;
  bool takes = true;
  std::optional<DecodeError> error;
};

MessageBuilder candidate(std::size_t bytes) {
  return std::move(MessageBuilder(static_cast<MessageType>(32))
                       .bytes(1, Bytes(bytes, static_cast<std::uint8_t>(bytes))));
}

Bytes bytes_of(const MessageBuilder& message) {
  Bytes bytes;
  message.append_to(bytes);
  return bytes;
}

Bytes raw_message(std::uint64_t type, std::size_t body_bytes) {
  Bytes bytes;
  ByteWriter writer(bytes);
  writer.varint(type);
  writer.varint(body_bytes);
  if (body_bytes > 0) {  // one field that fills it
    const std::size_t head = body_bytes < 66 ? 2 : body_bytes < 16'387 ? 3 : 5;
    writer.varint(1);
    writer.varint(body_bytes - head);
    bytes.resize(bytes.size() + body_bytes - head, 0x55);
  }
  return bytes;
}

// A server that hears candidates.
struct Hearing {
  Hearing() { channel.speak(kCandidateMessages, listener); }
  void feed(ByteView bytes) {
    while (!bytes.empty()) bytes = bytes.subspan(channel.handle_data(bytes));
  }

  TestSink sink;
  ControlChannel channel{Dialect::culvert_1, ControlEnd::server, sink};
  Listener listener;
};

// --- out -----------------------------------------------------------------------------------------

TEST(ControlChannel, says_everything_in_order_wherever_the_stream_is_full) {
  Bytes all;
  const std::array<std::size_t, 4> sizes{1, 70, 3, 40};
  for (const std::size_t size : sizes) candidate(size).append_to(all);
  for (std::size_t room = 0; room <= all.size(); ++room) {
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, all.size()}) {
      TestSink sink;
      ControlChannel channel(Dialect::culvert_1, ControlEnd::client, sink);
      sink.room = room;
      for (const std::size_t size : sizes) channel.send(candidate(size));
      ASSERT_EQ(sink.written.size(), room);
      EXPECT_EQ(channel.waiting_bytes(), all.size() - room);
      while (channel.waiting_bytes() > 0) {
        sink.room = step;
        channel.handle_writable();
      }
      EXPECT_EQ(sink.written, all) << room;
      EXPECT_FALSE(channel.failure());
    }
  }
}

TEST(ControlChannel, lets_no_message_overtake_those_that_wait) {
  TestSink sink;
  ControlChannel channel(Dialect::culvert_1, ControlEnd::client, sink);
  sink.room = 2;
  channel.send(candidate(10));
  sink.room = 1'000;  // of which the channel has not heard
  channel.send(candidate(11));
  channel.leave("bye");
  EXPECT_EQ(sink.written.size(), 2U);
  channel.handle_writable();
  Bytes all = bytes_of(candidate(10));
  candidate(11).append_to(all);
  ASSERT_GT(sink.written.size(), all.size());
  EXPECT_TRUE(std::ranges::equal(ByteView(sink.written).first(all.size()), all));
  EXPECT_EQ(sink.written[all.size()], 6) << "then the goodbye";
}

TEST(ControlChannel, fails_once_more_waits_than_may) {
  TestSink sink;
  ControlChannel channel(Dialect::culvert_1, ControlEnd::client, sink);
  sink.room = 0;
  const std::size_t size = bytes_of(candidate(1'000)).size();
  for (std::size_t i = 0; i < limits::kControlOutboxBytes / size; ++i) {
    channel.send(candidate(1'000));
    ASSERT_FALSE(channel.failure());
  }
  EXPECT_GT(channel.waiting_bytes() + size, limits::kControlOutboxBytes);
  channel.leave(std::string(1'000, 'x'));  // would be too much, and does not matter
  EXPECT_FALSE(channel.failure());
  channel.send(candidate(1'000));
  ASSERT_TRUE(channel.failure());
  EXPECT_TRUE(channel.failure()->is_unread);
  EXPECT_EQ(channel.failure()->error.kind, ErrorKind::protocol);
  EXPECT_EQ(sink.failures, 1);
  sink.room = 1'000'000;
  channel.handle_writable();
  channel.send(candidate(1));
  EXPECT_TRUE(sink.written.empty()) << "nothing with a gap in it";
  EXPECT_EQ(channel.waiting_bytes(), 0U);
  EXPECT_EQ(sink.failures, 1);
}

TEST(ControlChannel, takes_as_much_as_may_wait_once_there_was_room) {
  TestSink sink;
  ControlChannel channel(Dialect::culvert_1, ControlEnd::client, sink);
  sink.room = 0;
  Bytes all;
  for (int i = 0; i < 1'000; ++i) {
    channel.send(candidate(1'000));
    candidate(1'000).append_to(all);
    sink.room = 1'000;
    channel.handle_writable();
    sink.room = 0;
    ASSERT_FALSE(channel.failure()) << i;
  }
  sink.room = all.size();
  channel.handle_writable();
  EXPECT_EQ(sink.written, all);
}

TEST(ControlChannel, fails_where_a_peer_takes_nothing_any_more_but_for_a_goodbye) {
  for (const bool has_waited : {false, true}) {
    TestSink sink;
    ControlChannel channel(Dialect::culvert_1, ControlEnd::server, sink);
    if (has_waited) {
      sink.room = 3;
      channel.send(candidate(10));
    }
    sink.is_stopped = true;
    channel.leave("bye");
    EXPECT_FALSE(channel.failure());
    has_waited ? channel.handle_writable() : channel.send(candidate(10));
    ASSERT_TRUE(channel.failure());
    EXPECT_TRUE(channel.failure()->is_unread);
    EXPECT_EQ(sink.failures, 1);
  }
}

// --- in ------------------------------------------------------------------------------------------

TEST(ControlChannel, reads_messages_in_whatever_pieces_they_come) {
  Bytes all = raw_message(32, 0);
  for (const std::size_t body : {2U, 65U, 300U, 0U, 3U}) {
    const Bytes message = raw_message(32 + body % 8, body);
    all.insert(all.end(), message.begin(), message.end());
  }
  const std::vector<std::uint64_t> types{32, 34, 33, 36, 32, 35};
  for (std::size_t cut = 0; cut <= all.size(); ++cut) {
    Hearing end;
    end.feed(ByteView(all).first(cut));
    const std::size_t so_far = end.listener.types.size();
    EXPECT_TRUE(cut == all.size() ? so_far == types.size() : so_far < types.size());
    EXPECT_FALSE(end.channel.failure()) << "there is more to come";
    end.feed(ByteView(all).subspan(cut));
    EXPECT_EQ(end.listener.types, types) << cut;
  }
  Hearing dripping;
  for (const std::uint8_t byte : all) {
    EXPECT_EQ(dripping.channel.handle_data(ByteView(&byte, 1)), 1U);
  }
  EXPECT_EQ(dripping.listener.types, types);
}

TEST(ControlChannel, takes_one_message_at_a_time) {
  Hearing end;
  const Bytes first = raw_message(32, 20);
  Bytes both = first;
  both.insert(both.end(), first.begin(), first.end());
  EXPECT_EQ(end.channel.handle_data(both), first.size());
  EXPECT_EQ(end.listener.types.size(), 1U);
  const std::size_t half = end.channel.handle_data(ByteView(both).subspan(first.size(), 10));
  EXPECT_EQ(half, 10U);
  EXPECT_EQ(end.channel.handle_data(both), first.size() - half) << "what was missing of it";
  EXPECT_EQ(end.listener.types.size(), 2U);
}

TEST(ControlChannel, takes_messages_up_to_their_limit) {
  for (const std::uint64_t type : {std::uint64_t{32}, std::uint64_t{1'000'000}}) {
    Hearing end;
    end.feed(raw_message(type, limits::kControlMessageBytes));
    EXPECT_FALSE(end.channel.failure()) << type;
    const Bytes larger = raw_message(type, limits::kControlMessageBytes + 1);
    for (const bool is_dripping : {false, true}) {
      Hearing other;
      std::size_t fed = 0;
      while (!other.channel.failure() && fed < larger.size()) {
        const ByteView rest = ByteView(larger).subspan(fed);
        fed += other.channel.handle_data(is_dripping ? rest.first(1) : rest);
      }
      ASSERT_TRUE(other.channel.failure());
      EXPECT_FALSE(other.channel.failure()->is_unread);
      EXPECT_NE(other.channel.failure()->error.what.find("oversize"), std::string::npos);
      EXPECT_TRUE(!is_dripping || fed <= 16) << "nothing of it is held";
      EXPECT_EQ(other.sink.failures, 1);
      other.feed(raw_message(32, 3));
      EXPECT_TRUE(other.listener.types.empty()) << "it is over";
    }
  }
}

TEST(ControlChannel, fails_over_what_it_cannot_read) {
  const std::array<std::string, 4> broken{"200105",            // half a field
                                          "2003014005",        // a field longer than its message
                                          "2006010161010161",  // a tag twice
                                          "20020140"};         // half a length
  for (const std::string& hex : broken) {
    Hearing end;
    end.feed(hex_decode(hex).value());
    EXPECT_TRUE(end.channel.failure()) << hex;
  }
}

TEST(ControlChannel, gives_each_range_to_whoever_speaks_it_at_either_end) {
  const std::array<MessageRange, 6> ranges{kLoginMessages,     kResumeMessages, kLaneMessages,
                                           kCandidateMessages, kVpnMessages,    kMeshMessages};
  for (const ControlEnd end : {ControlEnd::client, ControlEnd::server}) {
    TestSink sink;
    ControlChannel channel(Dialect::culvert_1, end, sink);
    std::array<Listener, ranges.size()> listeners;
    for (std::size_t i = 0; i < ranges.size(); ++i) channel.speak(ranges[i], listeners[i]);
    for (std::size_t i = 0; i < ranges.size(); ++i) {
      for (const std::uint64_t type : {ranges[i].first, ranges[i].last}) {
        const Bytes message = raw_message(type, 5);
        EXPECT_EQ(channel.handle_data(message), message.size());
      }
      EXPECT_EQ(listeners[i].types, (std::vector{ranges[i].first, ranges[i].last}));
    }
    EXPECT_FALSE(channel.failure());
  }
}

// Both ends of releases one apart must understand each other: what this one does not know, and
// what it only ever says itself, means nothing to it. What it knows has its time.
TEST(ControlChannel, skips_what_it_does_not_know_and_fails_over_what_is_out_of_place) {
  for (const ControlEnd end : {ControlEnd::client, ControlEnd::server}) {
    for (std::uint64_t type = 0; type <= 80; ++type) {
      for (const int speaks : {0, 1, 2}) {
        TestSink sink;
        ControlChannel channel(Dialect::culvert_1, end, sink);
        Listener listener;
        listener.takes = speaks == 2;
        if (speaks > 0) channel.speak({.first = type, .last = type}, listener);
        const Bytes message = raw_message(type, 5);
        EXPECT_EQ(channel.handle_data(message), message.size());
        const bool is_goodbye = type == static_cast<std::uint64_t>(MessageType::goodbye);
        const bool is_breach = is_known_at(end, type) && !is_goodbye && speaks < 2;
        EXPECT_EQ(channel.failure().has_value(), is_breach) << type << " " << speaks;
        EXPECT_EQ(channel.poll_leaving().has_value(), is_goodbye);
      }
    }
  }
  EXPECT_TRUE(is_known_at(ControlEnd::server, 26));
  EXPECT_FALSE(is_known_at(ControlEnd::client, 26));
  EXPECT_TRUE(is_known_at(ControlEnd::client, 17));
  EXPECT_FALSE(is_known_at(ControlEnd::server, 17));
  EXPECT_FALSE(is_known_at(ControlEnd::server, 64)) << "that is no message of this stream";
}

TEST(ControlChannel, fails_over_what_an_extension_cannot_read) {
  Hearing end;
  end.listener.error = DecodeError::malformed;
  end.feed(raw_message(32, 3));
  ASSERT_TRUE(end.channel.failure());
  EXPECT_FALSE(end.channel.failure()->is_unread);
}

TEST(ControlChannel, gives_messages_to_the_latest_speaker_of_their_range) {
  Hearing end;
  Listener later;
  end.channel.speak(kCandidateMessages, later);
  end.feed(raw_message(32, 3));
  EXPECT_TRUE(end.listener.types.empty());
  EXPECT_EQ(later.types.size(), 1U);
  end.channel.hush();
  end.feed(raw_message(32, 3));
  EXPECT_EQ(later.types.size(), 1U);
}

TEST(ControlChannel, hears_a_goodbye) {
  ControlPair pair;
  pair.client.leave("done for \x1b today");
  pair.exchange();
  const auto leaving = pair.server.poll_leaving();
  ASSERT_TRUE(leaving);
  EXPECT_EQ(leaving->reason, "done for ? today");
  EXPECT_FALSE(pair.server.poll_leaving());
}

TEST(ControlChannel, has_no_words_in_mf_4) {
  for (const Dialect dialect : {Dialect::mf_4, Dialect::mf_4_token}) {
    TestSink sink;
    ControlChannel channel(dialect, ControlEnd::server, sink);
    channel.leave("bye");
    EXPECT_TRUE(sink.written.empty());
    EXPECT_EQ(channel.handle_data({}), 0U);
    EXPECT_FALSE(channel.failure());
    const Bytes goodbye = hex_decode("06090101000204646f6e65").value();
    EXPECT_EQ(channel.handle_data(goodbye), goodbye.size());
    EXPECT_TRUE(channel.failure());
    EXPECT_FALSE(channel.poll_leaving());
  }
}

}  // namespace
}  // namespace culvert::session
