#include "session/message.h"

#include "base/limits.h"
#include "base/printable.h"
#include "session/flow_open.h"

#include <fmt/format.h>

#include <algorithm>

namespace culvert::session {

std::optional<ByteView> Message::field(std::uint64_t tag) const {
  const auto found = std::ranges::find(fields, tag, &Field::tag);
  if (found == fields.end()) return std::nullopt;
  return found->value;
}

std::optional<std::uint64_t> Message::number(std::uint64_t tag) const {
  const auto bytes = field(tag);
  if (!bytes) return std::nullopt;
  ByteReader reader(*bytes);
  const auto value = reader.varint();
  if (!value || !reader.is_empty()) return std::nullopt;
  return *value;
}

std::string Message::text(std::uint64_t tag) const {
  const auto bytes = field(tag);
  return bytes ? printable(as_text(*bytes)) : std::string();
}

bool is_known_at(ControlEnd end, std::uint64_t type) {
  switch (static_cast<MessageType>(type)) {
    case MessageType::hello:
    case MessageType::proof:
    case MessageType::resume:
    case MessageType::resume_done:
    case MessageType::flows_gone:
    case MessageType::join:
    case MessageType::promote:
      return end == ControlEnd::server;
    case MessageType::challenge:
    case MessageType::accepted:
    case MessageType::refused:
    case MessageType::resumed:
    case MessageType::resume_failed:
    case MessageType::joined:
      return end == ControlEnd::client;
    case MessageType::goodbye:
      return true;
    case MessageType::flow_open:
    case MessageType::flow_accepted:
    case MessageType::flow_refused:
      break;  // on streams of flows only
  }
  return false;
}

Decoded<std::size_t> message_size(ByteView stream) {
  ByteReader reader(stream);
  const auto type = reader.varint();
  if (!type) return std::unexpected(type.error());
  const auto size = reader.varint();
  if (!size) return std::unexpected(size.error());
  if (*size > limits::kControlMessageBytes) return std::unexpected(DecodeError::oversize);
  return stream.size() - reader.rest().size() + static_cast<std::size_t>(*size);
}

Decoded<Message> decode_message(ByteView stream) {
  ByteReader reader(stream);
  const auto type = reader.varint();
  if (!type) return std::unexpected(type.error());
  const auto body = reader.prefixed(limits::kControlMessageBytes);
  if (!body) return std::unexpected(body.error());

  Message message;
  message.type = *type;
  message.size = stream.size() - reader.rest().size();
  ByteReader fields(*body);
  while (!fields.is_empty()) {
    const auto tag = fields.varint();
    const auto value = tag ? fields.prefixed(body->size()) : std::unexpected(tag.error());
    // The body is complete: what is missing inside it will not come.
    if (!value || message.fields.size() == Message::kMaxFields || message.field(*tag)) {
      return std::unexpected(DecodeError::malformed);
    }
    message.fields.push_back({*tag, *value});
  }
  return message;
}

MessageBuilder& MessageBuilder::bytes(std::uint64_t tag, ByteView value) {
  ByteWriter writer(body_);
  writer.varint(tag);
  writer.prefixed(value);
  return *this;
}

MessageBuilder& MessageBuilder::number(std::uint64_t tag, std::uint64_t value) {
  ByteWriter writer(body_);
  writer.varint(tag);
  writer.varint(varint_size(value));
  writer.varint(value);
  return *this;
}

MessageBuilder& MessageBuilder::text(std::uint64_t tag, std::string_view value) {
  return bytes(tag, as_bytes(value));
}

void MessageBuilder::append_to(Bytes& out) const {
  ByteWriter writer(out);
  writer.varint(static_cast<std::uint64_t>(type_));
  writer.prefixed(body_);
}

Error unreadable(DecodeError error) {
  return {ErrorKind::protocol,
          fmt::format("a message on the control stream is {}", to_string(error)),
          {}};
}

std::string printable(std::string_view text) {
  return culvert::printable(bounded_reason(text));
}

}  // namespace culvert::session
