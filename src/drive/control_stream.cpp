#include "drive/control_stream.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/probe.h"

#include <algorithm>
#include <array>

namespace culvert::drive {

ControlStream::ControlStream(TimerHeap& timers, quic::Connection& connection, quic::Stream& stream,
                             std::unique_ptr<session::Handshake> handshake, ControlHandler& handler)
    : connection_(connection),
      stream_(&stream),
      handshake_(std::move(handshake)),
      handler_(&handler),
      timer_(timers, *this) {
  stream.context = static_cast<StreamUser*>(this);
}

ControlStream::~ControlStream() {
  release();
}

void ControlStream::release() {
  if (stream_ != nullptr) stream_->context = nullptr;
  stream_ = nullptr;
  timer_.cancel();
  is_released_ = true;
}

void ControlStream::on_quic_readable(Instant now) {
  std::array<ByteView, 4> views;
  while (stream_ != nullptr && stream_->input.size() > 0) {
    const std::size_t count = stream_->input.views(views);
    std::size_t used = 0;
    for (const ByteView& view : std::span(views).first(count)) {
      handshake_->handle_data(now, view);
      used += view.size();
    }
    connection_.consume(*stream_, used);
  }
  if (stream_ != nullptr && stream_->is_input_finished()) handshake_->handle_fin(now);
  pump(now);
}

void ControlStream::on_quic_writable(Instant now) {
  pump(now);
}

void ControlStream::on_quic_reset(Instant now, std::uint64_t) {
  handshake_->handle_fin(now);
  pump(now);
}

void ControlStream::on_timer(Instant now) {
  if (has_overflowed_) {
    CULVERT_PROBE("drive.a control stream whose peer does not read");
    session::HandshakeEvent failed = session::Failed{
        session::CloseCode::protocol_error,
        {ErrorKind::protocol, "the other side does not read its control stream", {}}};
    handler_->on_handshake_event(now, failed);
    return;
  }
  handshake_->handle_timeout(now);
  pump(now);
}

void ControlStream::leave(Instant now, std::string_view reason) {
  handshake_->leave(reason);
  pump(now);
}

void ControlStream::promote(Instant now, const session::ResumeKey& key) {
  handshake_->promote(key);
  pump(now);
}

void ControlStream::announce_gone(Instant now, std::span<const std::uint64_t> ids) {
  if (ids.empty()) return;
  handshake_->announce_gone(ids);
  pump(now);
}

void ControlStream::announce_done(Instant now, std::uint64_t count) {
  handshake_->announce_done(count);
  pump(now);
}

void ControlStream::pump(Instant now) {
  send(handshake_->take_output());
  // Not from inside a call of the session's own.
  timer_.set(has_overflowed_ ? now : handshake_->next_timeout());
  while (!is_released_) {
    auto event = handshake_->poll_event();
    if (!event) return;
    handler_->on_handshake_event(now, *event);
  }
}

void ControlStream::send(ByteView output) {
  const bool is_over = stream_ == nullptr || stream_->is_fin_queued || stream_->is_output_over;
  if (is_over || has_overflowed_) {
    outbox_.clear();  // there is nobody to tell
    return;
  }
  outbox_.insert(outbox_.end(), output.begin(), output.end());
  const std::size_t size = std::min(outbox_.size(), stream_->output.space());
  if (size > 0) {
    stream_->output.append(ByteView(outbox_).first(size));
    outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(size));
    connection_.submit(*stream_);
  }
  if (!outbox_.empty()) {
    CULVERT_PROBE("drive.a control stream without room");
    stream_->wants_space = true;
    has_overflowed_ = outbox_.size() > limits::kControlOutboxBytes;
  } else if (handshake_->is_output_finished()) {
    connection_.finish(*stream_);
  }
}

Result<session::ExporterValue> export_auth_value(const quic::Connection& connection) {
  session::ExporterValue value{};
  if (auto exported = connection.export_keying_material(session::kExporterLabel, {}, value);
      !exported) {
    return forward(exported);
  }
  return value;
}

session::ResumeKey export_resume_key(const quic::Connection& connection) {
  std::array<std::uint8_t, 32> key{};
  const auto exported = connection.export_keying_material(session::kResumeExporterLabel, {}, key);
  CULVERT_ASSERT(exported.has_value());  // the exporter of the same connection has worked
  return session::ResumeKey(key);
}

}  // namespace culvert::drive
