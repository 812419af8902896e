#include "tests/sim/raw_peer.h"

#include "base/assert.h"

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::sim {

Bytes HeardMessage::bytes(std::uint64_t tag) const {
  const auto found = fields.find(tag);
  return found == fields.end() ? Bytes{} : found->second;
}

std::uint64_t HeardMessage::number(std::uint64_t tag) const {
  const Bytes value = bytes(tag);
  ByteReader reader(value);
  return reader.varint().value_or(0);
}

std::optional<HeardMessage> RawStream::take_message() {
  const auto message = session::decode_message(received);
  if (!message) return std::nullopt;
  HeardMessage heard{.type = static_cast<session::MessageType>(message->type), .fields = {}};
  for (const auto& field : message->fields) {
    heard.fields[field.tag] = Bytes(field.value.begin(), field.value.end());
  }
  received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(message->size));
  return heard;
}

// --- a connection -------------------------------------------------------------------------------

RawConnection::~RawConnection() {
  if (connection_ != nullptr) worker_.detach(*connection_);
}

RawStream& RawConnection::adopt(quic::Stream& stream) {
  streams_.push_back(std::make_unique<RawStream>());
  RawStream& raw = *streams_.back();
  raw.connection = this;
  raw.stream = &stream;
  stream.context = &raw;
  return raw;
}

RawStream* RawConnection::open_stream() {
  quic::Stream* stream = is_closed_ ? nullptr : connection_->open_stream();
  return stream == nullptr ? nullptr : &adopt(*stream);
}

void RawConnection::send(RawStream& stream, ByteView bytes) {
  stream.to_send.insert(stream.to_send.end(), bytes.begin(), bytes.end());
  flush(stream);
}

void RawConnection::flush(RawStream& stream) {
  if (stream.stream == nullptr || is_closed_) return;
  buffers::SendBuffer& output = stream.stream->output;
  const std::size_t size = std::min(stream.to_send.size(), output.space());
  output.append(ByteView(stream.to_send).first(size));
  stream.to_send.erase(stream.to_send.begin(),
                       stream.to_send.begin() + static_cast<std::ptrdiff_t>(size));
  if (size > 0) connection_->submit(*stream.stream);
  if (!stream.to_send.empty()) {
    stream.stream->wants_space = true;
  } else if (stream.is_finishing && !stream.stream->is_fin_queued) {
    connection_->finish(*stream.stream);
  }
}

void RawConnection::finish(RawStream& stream) {
  stream.is_finishing = true;
  flush(stream);
}

void RawConnection::reset(RawStream& stream, std::uint64_t code) {
  if (stream.stream == nullptr || is_closed_) return;
  stream.to_send.clear();
  connection_->reset(*stream.stream, code);
}

void RawConnection::stop_sending(RawStream& stream, std::uint64_t code) {
  if (stream.stream == nullptr || is_closed_) return;
  connection_->stop_sending(*stream.stream, code);
}

void RawConnection::send_datagram(ByteView bytes) {
  if (is_closed_) return;
  static_cast<void>(connection_->send_datagram({}, bytes));
}

void RawConnection::allow_streams(std::uint64_t count) {
  if (is_closed_) return;
  connection_->allow_streams(count);
}

void RawConnection::close(std::uint64_t code, std::string_view reason) {
  if (is_closed_) return;
  is_closed_ = true;
  closed_at_ = world_.now();
  for (const auto& stream : streams_) stream->stream = nullptr;
  connection_->close(world_.now(), code, reason);
  worker_.detach(*std::exchange(connection_, nullptr));
}

std::array<std::uint8_t, 32> RawConnection::exported(std::string_view label) const {
  std::array<std::uint8_t, 32> value{};
  CULVERT_ASSERT(connection_->export_keying_material(label, {}, value).has_value());
  return value;
}

void RawConnection::on_event(Instant, quic::Event& event) {
  if (std::holds_alternative<quic::HandshakeCompleted>(event)) {
    is_up_ = true;
  } else if (const auto* opened = std::get_if<quic::StreamOpened>(&event)) {
    RawStream& raw = adopt(*opened->stream);
    if (on_opened) on_opened(raw);
  } else if (const auto* reset = std::get_if<quic::StreamReset>(&event)) {
    auto* raw = static_cast<RawStream*>(reset->stream->context);
    raw->reset_code = reset->code;
    if (on_received) on_received(*raw);
  } else if (const auto* stop = std::get_if<quic::StopSending>(&event)) {
    static_cast<RawStream*>(stop->stream->context)->stop_code = stop->code;
  } else if (const auto* over = std::get_if<quic::StreamClosed>(&event)) {
    auto* raw = static_cast<RawStream*>(over->stream->context);
    if (over->stream->is_fin_received && !raw->has_ended) {
      raw->has_ended = true;
      if (on_received) on_received(*raw);
    }
    raw->stream = nullptr;
  } else if (const auto* closed = std::get_if<quic::Closed>(&event)) {
    is_closed_ = true;
    closed_at_ = world_.now();
    close_code_ = closed->application_code;
    close_reason_ = closed->reason;
    for (const auto& stream : streams_) stream->stream = nullptr;
    worker_.detach(*std::exchange(connection_, nullptr));
    if (on_lost) on_lost();
  }
}

void RawConnection::on_readable(Instant, quic::Stream& stream) {
  auto* raw = static_cast<RawStream*>(stream.context);
  if (raw->is_reading) {
    take(*raw);
  } else if (on_unread) {
    on_unread(*raw);
  }
}

void RawConnection::take_some(RawStream& stream, std::size_t count) {
  connection_->consume(*stream.stream, count);
}

void RawConnection::take(RawStream& raw) {
  std::array<ByteView, 8> views;
  bool has_news = false;
  while (raw.stream->input.size() > 0) {
    const std::size_t count = raw.stream->input.views(views);
    std::size_t used = 0;
    for (const ByteView& view : std::span(views).first(count)) {
      raw.received.insert(raw.received.end(), view.begin(), view.end());
      used += view.size();
    }
    raw.total_received += used;
    connection_->consume(*raw.stream, used);
    has_news = true;
  }
  if (raw.stream->is_fin_received && !raw.has_ended) raw.has_ended = has_news = true;
  if (has_news && on_received) on_received(raw);
}

void RawConnection::on_writable(Instant, quic::Stream& stream) {
  flush(*static_cast<RawStream*>(stream.context));
}

void RawConnection::on_datagram(Instant, ByteView datagram) {
  datagrams.emplace_back(datagram.begin(), datagram.end());
}

// --- the program --------------------------------------------------------------------------------

RawPeer::RawPeer(Machine& machine, quic::EndpointConfig config, std::uint16_t port)
    : host_(machine, {}), worker_(host_, null_logger()) {
  std::vector<std::string> alpns;
  if (config.accepts_connections) alpns = config.alpns;
  const Status opened = worker_.open(
      std::move(config), {.bind = {IpAddress::any(machine.addresses().front().family()), port}});
  CULVERT_ASSERT(opened.has_value());
  CULVERT_ASSERT(worker_.add_role(*this, std::move(alpns)).has_value());
}

RawPeer::~RawPeer() = default;

RawConnection& RawPeer::connect(const Dial& dial) {
  connections_.push_back(std::make_unique<RawConnection>(worker_, world()));
  RawConnection& raw = *connections_.back();
  const quic::ConnectOptions options{.peer = dial.peer, .alpn = "culvert/1", .worker = dial.worker};
  auto connection = dial.from
                        ? worker_.connect_from(world().now(), *dial.from, dial.to, options, raw)
                        : worker_.connect(world().now(), dial.to, options, raw);
  CULVERT_ASSERT(connection.has_value());
  raw.attach(**connection);
  raw.quic().share_budget(worker_.endpoint().make_session_budget());
  return raw;
}

drive::ConnectionHandler* RawPeer::on_connection(Instant, quic::Connection& connection) {
  connections_.push_back(std::make_unique<RawConnection>(worker_, world()));
  RawConnection& raw = *connections_.back();
  raw.attach(connection);
  worker_.endpoint().set_authenticated(connection);
  connection.share_budget(worker_.endpoint().make_session_budget());
  if (on_accepted) on_accepted(raw);
  return &raw;
}

}  // namespace culvert::sim
