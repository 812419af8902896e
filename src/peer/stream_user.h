// Whoever uses one stream; its context points to it (or is null: nobody any more, what still
// arrives is thrown away).
#pragma once

#include "base/time.h"
#include "quic/connection.h"

#include <cstdint>
#include <string_view>

namespace culvert::peer {

class StreamUser {
 public:
  virtual ~StreamUser() = default;
  virtual void on_quic_readable(Instant now) = 0;
  virtual void on_quic_writable(Instant now) = 0;
  virtual void on_quic_reset(Instant now, std::uint64_t code) = 0;         // RESET_STREAM
  virtual void on_quic_stop_sending(Instant now, std::uint64_t code) = 0;  // STOP_SENDING
  // The stream is over, perhaps with its connection: forget it.
  virtual void on_quic_closed(Instant now) = 0;
  // The flow goes on with this stream, which has inherited what the one before held.
  virtual void on_resumed(Instant, quic::Stream&) {}
  // What the flow was opened with, for a server that has not heard of it yet.
  [[nodiscard]] virtual std::string_view source() const { return {}; }
  // The server allows other sources than before: end what it no longer allows.
  virtual void on_policy_changed(Instant) {}
  // Carries a user's flow: counted and waited for.
  [[nodiscard]] virtual bool is_flow() const { return true; }
};

inline StreamUser* user_of(buffers::ByteStream& stream) {
  return static_cast<StreamUser*>(stream.context);
}

// Both directions have ended in order, as far as this side knows.
[[nodiscard]] inline bool has_ended_in_order(const buffers::ByteStream& stream) {
  return stream.is_fin_received && stream.is_fin_queued && !stream.is_output_over;
}

}  // namespace culvert::peer
