#include "session/message.h"

#include "base/encoding.h"
#include "base/limits.h"
#include "session/flow_open.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

namespace culvert::session {
namespace {

Bytes example() {
  Bytes out;
  MessageBuilder(MessageType::challenge)
      .bytes(1, Bytes{1, 2, 3})
      .number(2, 300)
      .text(9, "hi\x1b[31m")
      .append_to(out);
  return out;
}

TEST(Message, reads_what_the_builder_writes) {
  Bytes bytes = example();
  const std::size_t size = bytes.size();
  bytes.push_back(0xff);  // the next message
  const auto message = decode_message(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, static_cast<std::uint64_t>(MessageType::challenge));
  EXPECT_EQ(message->size, size);
  EXPECT_EQ(message->field(1)->size(), 3U);
  EXPECT_EQ(message->number(2), 300U);
  EXPECT_EQ(message->text(9), "hi?[31m");  // no control characters reach a terminal
  EXPECT_FALSE(message->field(3));
  EXPECT_FALSE(message->number(1));  // three bytes are no varint
  EXPECT_FALSE(message->array<4>(1));
  EXPECT_EQ(message->array<3>(1), (std::array<std::uint8_t, 3>{1, 2, 3}));
}

TEST(Message, waits_at_every_truncation) {
  const Bytes bytes = example();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto message = decode_message(ByteView(bytes).first(size));
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error(), DecodeError::truncated) << size;
  }
}

TEST(Message, refuses_what_cannot_become_valid) {
  const std::pair<const char*, DecodeError> cases[] = {
      {"0180004001", DecodeError::oversize},         // a body of 16385 bytes
      {"01030105ff", DecodeError::malformed},        // a field longer than the body
      {"01060101aa0101bb", DecodeError::malformed},  // a tag twice
      {"010101", DecodeError::malformed},            // a tag without length
  };
  for (const auto& [hex, error] : cases) {
    EXPECT_EQ(decode_message(hex_decode(hex).value()).error(), error) << hex;
  }
  Bytes many;
  MessageBuilder builder(MessageType::hello);
  for (std::uint64_t tag = 0; tag <= Message::kMaxFields; ++tag) builder.number(tag, 0);
  builder.append_to(many);
  EXPECT_EQ(decode_message(many).error(), DecodeError::malformed);
}

TEST(Message, skips_nothing_it_was_not_told_about) {
  // A type from the future is still framed, so that its receiver can skip it.
  const auto message = decode_message(hex_decode("7fff03010100").value());
  ASSERT_TRUE(message);
  EXPECT_EQ(message->type, 0x3fffU);
  EXPECT_EQ(message->size, 6U);
}

class FlowHeads : public testing::TestWithParam<Dialect> {};
INSTANTIATE_TEST_SUITE_P(Dialects, FlowHeads,
                         testing::Values(Dialect::culvert_1, Dialect::mf_4, Dialect::mf_4_token));

TEST_P(FlowHeads, carry_a_request_and_leave_the_data_behind_it) {
  for (const char* source : {"tcp://db:5432", "udp://[::1]:53", "unix:///run/x.sock"}) {
    Bytes bytes;
    encode_flow_open(GetParam(), {.source = source, .flow_id = 77, .resume = {}}, bytes);
    const std::size_t size = bytes.size();
    for (std::size_t cut = 0; cut < size; ++cut) {
      EXPECT_EQ(decode_flow_open(GetParam(), ByteView(bytes).first(cut)).error(),
                DecodeError::truncated);
    }
    bytes.insert(bytes.end(), {'G', 'E', 'T'});
    const auto head = decode_flow_open(GetParam(), bytes);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->value.source, source);
    EXPECT_EQ(head->size, size);
    EXPECT_LE(head->size, kMaxHeadBytes);
    const bool has_id = GetParam() == Dialect::culvert_1;
    EXPECT_EQ(head->value.flow_id, has_id ? 77U : 0U);
  }
}

TEST_P(FlowHeads, carry_both_answers) {
  Bytes accepted;
  encode_flow_reply(GetParam(), FlowAccepted{"127.0.0.1:5432"}, accepted);
  const auto yes = decode_flow_reply(GetParam(), accepted);
  ASSERT_TRUE(yes);
  ASSERT_TRUE(std::holds_alternative<FlowAccepted>(yes->value));
  if (GetParam() == Dialect::culvert_1) {
    EXPECT_EQ(std::get<FlowAccepted>(yes->value).dialled, "127.0.0.1:5432");
  }
  Bytes refused;
  encode_flow_reply(GetParam(), FlowRefused{RefusalCode::limit, "too many"}, refused);
  const auto no = decode_flow_reply(GetParam(), refused);
  ASSERT_TRUE(no);
  ASSERT_TRUE(std::holds_alternative<FlowRefused>(no->value));
  EXPECT_EQ(std::get<FlowRefused>(no->value).reason, "too many");
  if (GetParam() == Dialect::culvert_1) {
    EXPECT_EQ(std::get<FlowRefused>(no->value).code, RefusalCode::limit);
  }
}

TEST(FlowHeads, need_an_id_for_udp) {
  Bytes bytes;
  MessageBuilder(MessageType::flow_open).text(1, "udp://h:1").append_to(bytes);
  EXPECT_EQ(decode_flow_open(Dialect::culvert_1, bytes).error(), DecodeError::malformed);
  Bytes other;
  MessageBuilder(MessageType::goodbye).text(1, "tcp://h:1").append_to(other);
  EXPECT_EQ(decode_flow_open(Dialect::culvert_1, other).error(), DecodeError::unsupported);
}

TEST(DatagramFrame, frames_by_length) {
  const auto header = datagram_frame_header(0x0102);
  EXPECT_EQ(header, (std::array<std::uint8_t, 2>{1, 2}));
  const Bytes stream{0, 2, 'h', 'i', 0, 0, 0, 9};
  const auto first = decode_datagram_frame(stream);
  ASSERT_TRUE(first);
  EXPECT_EQ(as_text(first->value), "hi");
  const auto empty = decode_datagram_frame(ByteView(stream).subspan(first->size));
  ASSERT_TRUE(empty);
  EXPECT_TRUE(empty->value.empty());
  EXPECT_EQ(decode_datagram_frame(ByteView(stream).subspan(6)).error(), DecodeError::truncated);
}

TEST(DatagramHeader, is_the_flow_id_as_varint) {
  for (const std::uint64_t id : {0ULL, 63ULL, 64ULL, 16'384ULL, (1ULL << 62) - 1}) {
    const DatagramHeader header = datagram_header(id);
    EXPECT_EQ(header.size, varint_size(id));
    const auto decoded = decode_datagram_header(header.view());
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->value, id);
    EXPECT_EQ(decoded->size, header.size);
  }
  EXPECT_FALSE(decode_datagram_header({}));
}

TEST(BoundedReason, cuts_between_characters) {
  EXPECT_EQ(bounded_reason("short"), "short");
  std::string text;
  while (text.size() < 2 * limits::kReasonBytes) text += "\u00e9";  // two bytes each
  const std::string cut = bounded_reason(text);
  EXPECT_LE(cut.size(), limits::kReasonBytes);
  EXPECT_TRUE(cut.ends_with("..."));
  EXPECT_EQ((cut.size() - 3) % 2, 0U);
}

TEST(Message, tells_how_long_it_is_from_its_head) {
  Bytes bytes;
  MessageBuilder(MessageType::resume_done).bytes(1, Bytes(100, 7)).append_to(bytes);
  const std::size_t head = 1 + 2;  // type, and the length of a body of 103 bytes
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    const auto size = message_size(ByteView(bytes).first(cut));
    if (cut < head) {
      EXPECT_EQ(size.error(), DecodeError::truncated);
    } else {
      EXPECT_EQ(size, bytes.size());
    }
  }
  Bytes large;
  ByteWriter writer(large);
  writer.varint(19);
  writer.varint(limits::kControlMessageBytes);
  EXPECT_EQ(message_size(large), large.size() + limits::kControlMessageBytes);
  large.clear();
  writer.varint(19);
  writer.varint(limits::kControlMessageBytes + 1);
  EXPECT_EQ(message_size(large).error(), DecodeError::oversize);
}

TEST(Message, of_the_control_stream_is_known_where_it_goes) {
  const std::map<ControlEnd, std::vector<std::uint64_t>> known{
      {ControlEnd::client, {2, 4, 5, 6, 17, 18, 25}},
      {ControlEnd::server, {1, 3, 6, 16, 19, 20, 24, 26}}};
  for (const auto& [end, types] : known) {
    for (std::uint64_t type = 0; type < 100; ++type) {
      EXPECT_EQ(is_known_at(end, type), std::ranges::find(types, type) != types.end()) << type;
    }
  }
}

}  // namespace
}  // namespace culvert::session
