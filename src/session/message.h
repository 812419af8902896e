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
#include "base/result.h"

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
  flow_open = 64,
  flow_accepted = 65,
  flow_refused = 66,
};

// Types that belong together, in both directions. What none of them says yet is reserved.
struct MessageRange {
  std::uint64_t first;
  std::uint64_t last;

  [[nodiscard]] constexpr bool contains(std::uint64_t type) const {
    return first <= type && type <= last;
  }
};
inline constexpr MessageRange kLoginMessages{.first = 1, .last = 15};  // and Goodbye
inline constexpr MessageRange kResumeMessages{.first = 16, .last = 23};
inline constexpr MessageRange kLaneMessages{.first = 24, .last = 31};
inline constexpr MessageRange kCandidateMessages{.first = 32, .last = 39};
inline constexpr MessageRange kVpnMessages{.first = 40, .last = 47};
inline constexpr MessageRange kMeshMessages{.first = 48, .last = 55};

// Which end of a connection reads.
enum class ControlEnd : std::uint8_t { client, server };

// Whether this end knows the type as one that it may be sent on the control stream at some time;
// what it does not know it skips, for the other end may be of a later release.
[[nodiscard]] bool is_known_at(ControlEnd end, std::uint64_t type);

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
// Bytes of the stream that its first message takes; truncated: its head has not come whole.
[[nodiscard]] Decoded<std::size_t> message_size(ByteView stream);

[[nodiscard]] inline bool is_type(const Message& message, MessageType type) {
  return message.type == static_cast<std::uint64_t>(type);
}

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

// Why the connection is closed over a message of this kind.
[[nodiscard]] Error unreadable(DecodeError error);

// Text from a peer made fit for a log line: control characters become '?', cut to
// limits::kReasonBytes.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace culvert::session
