// The head of a flow stream in both dialects, the frames of UDP flows, and DATAGRAM
// headers. docs/protocol/culvert-1.md, docs/protocol/mf-4.md.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"
#include "base/multipath.h"
#include "session/dialect.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace culvert::session {

// --- the client's request -----------------------------------------------------------------

// A flow that goes on after its connection was lost. Offsets count the bytes behind the
// FlowOpen, per direction, over all connections of the session.
struct FlowResume {
  std::uint64_t received = 0;  // by the client: the server goes on from here
  std::uint64_t start = 0;     // of the client's bytes on this stream
};

struct FlowOpen {
  std::string source;  // "tcp://host:port", "udp://host:port", "unix:///path"
  // culvert/1: names the flow in DATAGRAM frames, and when it is resumed. 0: has none (TCP
  // flows of sessions that end with their connection).
  std::uint64_t flow_id = 0;
  std::optional<FlowResume> resume{};
  // Other than fastest: the flow may use all connections of the session. A TCP flow is carried
  // in chunks (session/chunk_frames.h); FlowOpen begins its stream on every connection.
  Multipath multipath = Multipath::fastest;
  [[nodiscard]] bool is_udp() const { return source.starts_with("udp:"); }
};

// --- the server's reply -------------------------------------------------------------------

enum class RefusalCode : std::uint8_t {
  unspecified = 0,   // mf/4 tells only the reason
  not_allowed = 1,   // outside the allow lists
  not_resolved = 2,  // the name has no address
  dial_refused = 3,  // the target said no
  dial_timeout = 4,
  unreachable = 5,
  limit = 6,      // too many flows
  malformed = 7,  // the source could not be read
  shutting_down = 8,
};
// As a sentence for the client's user, which tells policy, target and name apart.
[[nodiscard]] std::string_view to_string(RefusalCode code);

struct FlowAccepted {
  std::string dialled;  // the address reached; empty in mf/4
};
struct FlowRefused {
  RefusalCode code = RefusalCode::unspecified;
  std::string reason;  // <= limits::kReasonBytes
};
using FlowReply = std::variant<FlowAccepted, FlowRefused>;

void encode_flow_open(Dialect dialect, const FlowOpen& open, Bytes& out);
void encode_flow_reply(Dialect dialect, const FlowReply& reply, Bytes& out);

// Reads one length-prefixed head from a stream that continues with raw data. Feed what
// the stream holds; DecodeError::truncated means: call again with more (from the start).
// On success `size` bytes belonged to the head.
template <typename T>
struct Head {
  T value;
  std::size_t size = 0;
};
[[nodiscard]] Decoded<Head<FlowOpen>> decode_flow_open(Dialect dialect, ByteView stream);
[[nodiscard]] Decoded<Head<FlowReply>> decode_flow_reply(Dialect dialect, ByteView stream);

// The most bytes a head can have, prefix included: a stream that holds this much without
// a complete head is broken.
inline constexpr std::size_t kMaxHeadBytes = 4 + limits::kControlMessageBytes;

// --- UDP on streams -------------------------------------------------------------------------
// mf/4 carries every datagram so, culvert/1 those that fit no DATAGRAM frame: u16 length,
// big endian, then the payload.

inline constexpr std::size_t kDatagramFrameHeaderBytes = 2;
[[nodiscard]] std::array<std::uint8_t, kDatagramFrameHeaderBytes> datagram_frame_header(
    std::uint16_t payload_bytes);
// The first frame of `stream`; truncated when it is not complete yet.
[[nodiscard]] Decoded<Head<ByteView>> decode_datagram_frame(ByteView stream);

// --- UDP in DATAGRAM frames (culvert/1): varint flow id, then the payload ---------------------
// Of redundant flows a varint number comes between them, which grows with each datagram.

struct DatagramHeader {
  std::array<std::uint8_t, 16> bytes{};
  std::size_t size = 0;
  [[nodiscard]] ByteView view() const { return {bytes.data(), size}; }
};
[[nodiscard]] DatagramHeader datagram_header(std::uint64_t flow_id,
                                             std::optional<std::uint64_t> number = {});
[[nodiscard]] Decoded<Head<std::uint64_t>> decode_datagram_header(ByteView datagram);

// `reason` cut to limits::kReasonBytes at a UTF-8 boundary, "..." appended when cut.
[[nodiscard]] std::string bounded_reason(std::string_view reason);

}  // namespace culvert::session
