#include "peer/control_stream.h"

#include "base/probe.h"

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::peer {

ControlStream::ControlStream(TimerHeap& timers, quic::Stream& stream, session::Dialect dialect,
                             session::ControlEnd end)
    : stream_(&stream), channel_(dialect, end, *this), soon_(timers, *this) {
  stream.context = static_cast<StreamUser*>(this);
}

ControlStream::~ControlStream() {
  release();
}

void ControlStream::set_handler(ControlHandler& handler) {
  channel_.hush();
  handler_ = &handler;
  if (stream_ != nullptr && stream_->input.size() > 0) soon_.set(Instant{});
}

void ControlStream::release() {
  if (stream_ != nullptr) stream_->context = nullptr;
  stream_ = nullptr;
  soon_.cancel();
  channel_.hush();
  is_released_ = true;
}

void ControlStream::on_quic_readable(Instant now) {
  if (has_failed(now)) return;
  while (stream_ != nullptr && stream_->input.size() > 0) {
    std::array<ByteView, 1> view;
    static_cast<void>(stream_->input.views(view));
    const std::size_t taken = channel_.handle_data(view[0]);
    stream_->consume(taken);
    if (has_failed(now)) return;
    handler_->on_control(now);
  }
}

void ControlStream::on_quic_writable(Instant now) {
  channel_.handle_writable();
  static_cast<void>(has_failed(now));
}

bool ControlStream::has_failed(Instant now) {
  if (is_released_ || !channel_.failure()) return false;
  const session::ChannelFailure failure = *channel_.failure();
  if (failure.is_unread) CULVERT_PROBE("peer.a control stream whose peer does not read");
  release();
  handler_->on_control_failed(now, failure);
  return true;
}

std::optional<std::size_t> ControlStream::write(ByteView bytes) {
  if (is_released_) return bytes.size();  // the connection is over: there is nobody to tell
  if (stream_ == nullptr || stream_->is_fin_queued || stream_->is_output_over) return std::nullopt;
  const std::size_t size = std::min(bytes.size(), stream_->output.space());
  if (size > 0) {
    stream_->output.append(bytes.first(size));
    stream_->submit();
  }
  if (size < bytes.size()) {
    CULVERT_PROBE("peer.a control stream without room");
    stream_->wants_space = true;
  }
  return size;
}

void ControlStream::on_channel_failed() {
  soon_.set(Instant{});
}

}  // namespace culvert::peer
