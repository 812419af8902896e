// Moves bytes between the control stream of a connection and its session::ControlChannel, after
// the handshake.
#pragma once

#include "peer/stream_user.h"
#include "ports/timer_heap.h"
#include "session/control_channel.h"

#include <cstddef>
#include <optional>

namespace culvert::peer {

class ControlHandler {
 public:
  // Something has come: whoever speaks on the channel may have news, of one message.
  virtual void on_control(Instant now) = 0;
  // Close the connection. Once, and not from inside a call of the handler's own.
  virtual void on_control_failed(Instant now, const session::ChannelFailure& failure) = 0;

 protected:
  ~ControlHandler() = default;
};

// Owned by its session.
class ControlStream final : public StreamUser, private session::ControlSink {
 public:
  ControlStream(TimerHeap& timers, quic::Stream& stream, session::Dialect dialect,
                session::ControlEnd end);
  ~ControlStream() override;

  // Has the connection from now on, and speaks on the channel: whoever did before does not any
  // more. What is in the stream already is read soon.
  void set_handler(ControlHandler& handler);
  [[nodiscard]] session::ControlChannel& channel() { return channel_; }
  // No more calls in either direction: the session has ended, perhaps inside a call of ours.
  void release();

  void on_quic_readable(Instant now) override;
  void on_quic_writable(Instant now) override;
  void on_quic_reset(Instant, std::uint64_t) override {}
  void on_quic_stop_sending(Instant, std::uint64_t) override {}
  void on_quic_closed(Instant) override { stream_ = nullptr; }
  [[nodiscard]] bool is_flow() const override { return false; }

 private:
  [[nodiscard]] std::optional<std::size_t> write(ByteView bytes) override;
  void on_channel_failed() override;
  [[nodiscard]] bool has_failed(Instant now);

  quic::Stream* stream_;  // null once it is closed
  session::ControlChannel channel_;
  ControlHandler* handler_ = nullptr;
  bool is_released_ = false;
  MemberTimer<ControlStream, &ControlStream::on_quic_readable> soon_;
};

}  // namespace culvert::peer
