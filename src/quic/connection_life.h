// From open to drained (RFC 9000 10.2): what a connection may still do, and until when; and how it
// ended where it never was one. Internal to quic/.
#pragma once

#include "base/time.h"
#include "quic/close_packet.h"

#include <cstdint>

namespace culvert::quic {

class ConnectionLife {
 public:
  enum class State : std::uint8_t {
    open,
    must_close,  // the close packet is not written yet
    closing,     // it was sent; repeated when the peer goes on sending (10.2.1)
    draining,    // the peer closed: silence (10.2.2)
    drained,
  };

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool is_open() const { return state_ == State::open; }
  [[nodiscard]] bool must_close() const { return state_ == State::must_close; }
  [[nodiscard]] bool is_drained() const { return state_ == State::drained; }
  // What it says when it closes.
  [[nodiscard]] ClosePacket& packet() { return packet_; }

  // It closes, or drains, until then at the latest.
  void begin_close(Instant until) { begin(State::must_close, until); }
  void begin_drain(Instant until) { begin(State::draining, until); }
  // Without a word.
  void end() { state_ = State::drained; }
  // The close packet was written, and goes out by `path`.
  void on_close_written(const PathId& path, ByteView packet) {
    state_ = is_displaced_ ? State::drained : State::closing;
    packet_.on_written(path, packet);
  }
  // The peer has sent something since.
  void on_received() {
    if (state_ == State::closing) packet_.on_received();
  }
  [[nodiscard]] bool is_close_due() const { return state_ == State::closing && packet_.is_due(); }
  // Of one that is not open any more; kNever: nothing is to happen.
  [[nodiscard]] Instant next_timeout() const {
    return state_ == State::drained ? kNever : drained_at_;
  }
  void handle_timeout(Instant now) {
    if (now >= drained_at_) state_ = State::drained;
  }

  // Others need its place: one word to the peer, and it is drained. Whether that is still to be
  // said.
  [[nodiscard]] bool displace() {
    is_displaced_ = true;
    if (state_ != State::open && state_ != State::must_close) state_ = State::drained;
    return state_ == State::open;
  }

  // Its first packet was no valid beginning, or held only part of one.
  void drop() {
    was_dropped_ = true;
    end();
  }
  void want_retry() {
    wants_retry_ = true;
    end();
  }
  // A stateless reset arrived.
  void note_reset() { was_reset_ = true; }
  [[nodiscard]] bool was_dropped() const { return was_dropped_; }
  [[nodiscard]] bool wants_retry() const { return wants_retry_; }
  [[nodiscard]] bool was_reset() const { return was_reset_; }

 private:
  void begin(State state, Instant until) {
    state_ = state;
    drained_at_ = until;
  }

  State state_ = State::open;
  bool was_dropped_ = false;
  bool wants_retry_ = false;
  bool was_reset_ = false;
  bool is_displaced_ = false;
  ClosePacket packet_;
  Instant drained_at_ = kNever;
};

}  // namespace culvert::quic
