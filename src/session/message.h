// Messages of culvert/1 on the control stream and at the head of flow streams
// (docs/protocol/culvert-1.md):
//
//   message = varint type, varint body length (<= kControlMessageBytes), body
//   body    = any number of fields: varint tag, varint length, value
//
// Unknown types and tags are skipped: what both sides must understand is agreed on by the
// features in Hello and Challenge. A tag that occurs twice is malformed.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::session {

enum class MessageType : std::uint64_t {
  hello = 1,
  challenge = 2,
  proof = 3,
  accepted = 4,
  refused = 5,
  goodbye = 6,
  resume = 16,
  resumed = 17,
  resume_failed = 18,
  resume_done = 19,
  flows_gone = 20,
  join = 24,
  joined = 25,
  promote = 26,
  // 21..23 session resume, 27..31 multi-path, 32..39 path candidates: reserved
  flow_open = 64,
  flow_accepted = 65,
  flow_refused = 66,
};

// One whole message; views point into the decoder's input.
struct Message {
  static constexpr std::size_t kMaxFields = limits::kMaxMessageFields;

  std::uint64_t type = 0;
  std::size_t size = 0;  // bytes of the stream it took

  [[nodiscard]] std::optional<ByteView> field(std::uint64_t tag) const;
  // Field as varint; nothing when absent or not exactly one varint.
  [[nodiscard]] std::optional<std::uint64_t> number(std::uint64_t tag) const;
  // Field of exactly N bytes.
  template <std::size_t N>
  [[nodiscard]] std::optional<std::array<std::uint8_t, N>> array(std::uint64_t tag) const {
    const auto bytes = field(tag);
    if (!bytes || bytes->size() != N) return std::nullopt;
    std::array<std::uint8_t, N> out{};
    for (std::size_t i = 0; i < N; ++i) out[i] = (*bytes)[i];
    return out;
  }
  // Field as text for people: control characters replaced, cut to kReasonBytes.
  [[nodiscard]] std::string text(std::uint64_t tag) const;

  struct Field {
    std::uint64_t tag;
    ByteView value;
  };
  std::vector<Field> fields;
};

// The first message of `stream`; truncated: more bytes are needed.
[[nodiscard]] Decoded<Message> decode_message(ByteView stream);

class MessageBuilder {
 public:
  explicit MessageBuilder(MessageType type) : type_(type) {}
  MessageBuilder& bytes(std::uint64_t tag, ByteView value);
  MessageBuilder& number(std::uint64_t tag, std::uint64_t value);
  MessageBuilder& text(std::uint64_t tag, std::string_view value);
  void append_to(Bytes& out) const;

 private:
  MessageType type_;
  Bytes body_;
};

// Text from a peer made fit for a log line: control characters become '?', cut to
// limits::kReasonBytes.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace culvert::session
