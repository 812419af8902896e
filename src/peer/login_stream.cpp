#include "peer/login_stream.h"

#include "base/assert.h"

#include <array>
#include <utility>

namespace culvert::peer {

LoginStream::LoginStream(TimerHeap& timers, quic::Stream& stream,
                         std::unique_ptr<session::Handshake> handshake, LoginHandler& handler)
    : stream_(&stream), handshake_(std::move(handshake)), handler_(handler), timer_(timers, *this) {
  stream.context = static_cast<StreamUser*>(this);
}

LoginStream::~LoginStream() {
  release();
}

quic::Stream& LoginStream::hand_over() {
  CULVERT_ASSERT(stream_ != nullptr);  // a good verdict comes of what was read from it
  quic::Stream& stream = *stream_;
  release();
  return stream;
}

void LoginStream::release() {
  if (stream_ != nullptr) stream_->context = nullptr;
  stream_ = nullptr;
  timer_.cancel();
  is_released_ = true;
}

void LoginStream::on_quic_readable(Instant now) {
  while (stream_ != nullptr && stream_->input.size() > 0) {
    std::array<ByteView, 1> view;
    static_cast<void>(stream_->input.views(view));
    const std::size_t taken = handshake_->handle_data(now, view[0]);
    stream_->consume(taken);
    pump(now);
  }
  if (stream_ == nullptr || !stream_->is_input_finished()) return;
  handshake_->handle_fin(now);
  pump(now);
}

void LoginStream::on_quic_reset(Instant now, std::uint64_t) {
  handshake_->handle_fin(now);
  pump(now);
}

void LoginStream::on_timer(Instant now) {
  handshake_->handle_timeout(now);
  pump(now);
}

void LoginStream::pump(Instant now) {
  const Bytes output = handshake_->take_output();
  const bool is_over = stream_ == nullptr || stream_->is_fin_queued || stream_->is_output_over;
  if (!is_over) {
    if (!output.empty()) {
      stream_->output.append(output);  // a few short messages in all
      stream_->submit();
    }
    if (handshake_->is_output_finished()) stream_->finish();
  }
  if (is_released_) return;
  timer_.set(handshake_->next_timeout());
  if (auto verdict = handshake_->poll_verdict()) handler_.on_verdict(now, *verdict);
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

}  // namespace culvert::peer
