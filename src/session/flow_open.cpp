#include "session/flow_open.h"

#include "base/assert.h"
#include "base/limits.h"
#include "session/message.h"
#include "session/mf4_json.h"

namespace culvert::session {
namespace {

enum OpenTag : std::uint64_t {
  kSource = 1,
  kFlowId = 2,
  kReceived = 3,
  kStart = 4,
  kMultipath = 5
};
enum ReplyTag : std::uint64_t { kDialled = 1, kReplyCode = 1, kReplyReason = 2 };

unsigned body_version(Dialect dialect) {
  return dialect == Dialect::mf_4_token ? mf4::kTokenVersion : mf4::kKeyVersion;
}

Decoded<Head<FlowReply>> reply_from_message(const Message& message) {
  if (message.type == static_cast<std::uint64_t>(MessageType::flow_accepted)) {
    return Head<FlowReply>{FlowAccepted{message.text(kDialled)}, message.size};
  }
  if (message.type == static_cast<std::uint64_t>(MessageType::flow_refused)) {
    const auto code = message.number(kReplyCode);
    if (!code || *code == 0 || *code > 255) return std::unexpected(DecodeError::malformed);
    return Head<FlowReply>{FlowRefused{static_cast<RefusalCode>(*code), message.text(kReplyReason)},
                           message.size};
  }
  return std::unexpected(DecodeError::unsupported);
}

}  // namespace

std::string_view to_string(RefusalCode code) {
  switch (code) {
    case RefusalCode::not_allowed:
      return "the server does not allow it";
    case RefusalCode::not_resolved:
      return "the server cannot resolve the name";
    case RefusalCode::dial_refused:
      return "the target refused the connection";
    case RefusalCode::dial_timeout:
      return "the target did not answer in time";
    case RefusalCode::unreachable:
      return "the server cannot reach the target";
    case RefusalCode::limit:
      return "a limit is reached";
    case RefusalCode::malformed:
      return "the server cannot read the source";
    case RefusalCode::shutting_down:
      return "the server is shutting down";
    case RefusalCode::unspecified:
      break;
  }
  return "the server refused";
}

void encode_flow_open(Dialect dialect, const FlowOpen& open, Bytes& out) {
  if (dialect != Dialect::culvert_1) {
    mf4::append_source_request(body_version(dialect), open.source, out);
    return;
  }
  MessageBuilder message(MessageType::flow_open);
  message.text(kSource, open.source);
  if (open.is_udp() || open.flow_id != 0) message.number(kFlowId, open.flow_id);
  if (open.resume) {
    message.number(kReceived, open.resume->received).number(kStart, open.resume->start);
  }
  if (open.multipath != Multipath::fastest) {
    message.number(kMultipath, static_cast<std::uint64_t>(open.multipath));
  }
  message.append_to(out);
}

void encode_flow_reply(Dialect dialect, const FlowReply& reply, Bytes& out) {
  const auto* refused = std::get_if<FlowRefused>(&reply);
  if (dialect != Dialect::culvert_1) {
    mf4::append_source_response(body_version(dialect), refused == nullptr,
                                refused == nullptr ? "" : refused->reason, out);
    return;
  }
  if (refused != nullptr) {
    MessageBuilder(MessageType::flow_refused)
        .number(kReplyCode, static_cast<std::uint64_t>(refused->code))
        .text(kReplyReason, bounded_reason(refused->reason))
        .append_to(out);
    return;
  }
  MessageBuilder(MessageType::flow_accepted)
      .text(kDialled, std::get<FlowAccepted>(reply).dialled)
      .append_to(out);
}

Decoded<Head<FlowOpen>> decode_flow_open(Dialect dialect, ByteView stream) {
  if (dialect != Dialect::culvert_1) return mf4::decode_source_request(stream);
  const auto message = decode_message(stream);
  if (!message) return std::unexpected(message.error());
  if (message->type != static_cast<std::uint64_t>(MessageType::flow_open)) {
    return std::unexpected(DecodeError::unsupported);
  }
  const auto source = message->field(kSource);
  const auto flow_id = message->number(kFlowId);
  const auto received = message->number(kReceived);
  const auto start = message->number(kStart);
  Head<FlowOpen> head{{.source = source ? std::string(as_text(*source)) : std::string(),
                       .flow_id = flow_id.value_or(0)},
                      message->size};
  if (received && start && head.value.flow_id != 0) {
    head.value.resume = FlowResume{.received = *received, .start = *start};
  } else if (received || start || head.value.source.empty()) {
    return std::unexpected(DecodeError::malformed);
  }
  if (head.value.is_udp() && !flow_id) return std::unexpected(DecodeError::malformed);
  if (message->field(kMultipath)) {
    const std::uint64_t mode = message->number(kMultipath).value_or(0);
    if (mode == 0 || mode > static_cast<std::uint64_t>(Multipath::redundant) ||
        head.value.flow_id == 0) {
      return std::unexpected(DecodeError::malformed);
    }
    head.value.multipath = static_cast<Multipath>(mode);
  }
  return head;
}

Decoded<Head<FlowReply>> decode_flow_reply(Dialect dialect, ByteView stream) {
  if (dialect != Dialect::culvert_1) return mf4::decode_source_response(stream);
  const auto message = decode_message(stream);
  if (!message) return std::unexpected(message.error());
  return reply_from_message(*message);
}

std::array<std::uint8_t, kDatagramFrameHeaderBytes> datagram_frame_header(
    std::uint16_t payload_bytes) {
  return {static_cast<std::uint8_t>(payload_bytes >> 8), static_cast<std::uint8_t>(payload_bytes)};
}

Decoded<Head<ByteView>> decode_datagram_frame(ByteView stream) {
  ByteReader reader(stream);
  const auto size = reader.u16();
  if (!size) return std::unexpected(size.error());
  const auto payload = reader.take(*size);
  if (!payload) return std::unexpected(payload.error());
  return Head<ByteView>{*payload, kDatagramFrameHeaderBytes + payload->size()};
}

DatagramHeader datagram_header(std::uint64_t flow_id, std::optional<std::uint64_t> number) {
  DatagramHeader header;
  header.size = encode_varint(flow_id, header.bytes);
  if (number) header.size += encode_varint(*number, ByteSpan(header.bytes).subspan(header.size));
  return header;
}

Decoded<Head<std::uint64_t>> decode_datagram_header(ByteView datagram) {
  ByteReader reader(datagram);
  const auto flow_id = reader.varint();
  if (!flow_id) return std::unexpected(flow_id.error());
  return Head<std::uint64_t>{*flow_id, datagram.size() - reader.rest().size()};
}

std::string bounded_reason(std::string_view reason) {
  constexpr std::string_view kCut = "...";
  if (reason.size() <= limits::kReasonBytes) return std::string(reason);
  std::size_t end = limits::kReasonBytes - kCut.size();
  while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xc0) == 0x80) --end;
  return std::string(reason.substr(0, end)) + std::string(kCut);
}

}  // namespace culvert::session
