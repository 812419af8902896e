// What the flows of one session write to: its connection of the moment, or for striped flows
// all of its lanes. Streams taken from a lost connection (Stream::is_parked) only change their
// own state here; what is left in them goes on when the session has a connection again. Private
// to drive/.
#pragma once

#include "drive/lanes.h"
#include "quic/connection.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace culvert::drive {

// Owned by its session.
class Carrier {
 public:
  explicit Carrier(Lanes& lanes) : lanes_(lanes) {}

  void bind(quic::Connection* connection) { connection_ = connection; }
  [[nodiscard]] quic::Connection* connection() { return connection_; }
  [[nodiscard]] const quic::Connection* connection() const { return connection_; }

  void submit(quic::Stream& stream) {
    if (stream.is_striped) {
      static_cast<Stripe&>(stream).submit();
    } else if (stream.owner != nullptr) {
      stream.owner->submit(stream);
    }
  }
  void finish(quic::Stream& stream) {
    stream.is_fin_queued = true;
    if (stream.is_striped) {
      static_cast<Stripe&>(stream).submit();
    } else if (stream.owner != nullptr) {
      stream.owner->finish(stream);
    }
  }
  void reset(quic::Stream& stream, std::uint64_t code);
  void stop_sending(quic::Stream& stream, std::uint64_t code);
  void consume(quic::Stream& stream, std::size_t count) {
    if (stream.is_striped) {
      static_cast<Stripe&>(stream).consume(count);
    } else if (stream.owner != nullptr) {
      stream.owner->consume(stream, count);
    } else {
      stream.input.consume(count);
    }
  }
  [[nodiscard]] bool send_datagram(Multipath mode, ByteView header, ByteView payload) {
    if (mode != Multipath::fastest) return lanes_.send_datagram(mode, header, payload);
    return connection_ != nullptr &&
           header.size() + payload.size() <= connection_->max_datagram_payload() &&
           connection_->send_datagram(header, payload);
  }

  // Flows that were reset before the peer knew that they go on here: their streams may never
  // tell it.
  [[nodiscard]] std::vector<std::uint64_t> take_gone() { return std::exchange(gone_, {}); }

 private:
  Lanes& lanes_;
  quic::Connection* connection_ = nullptr;
  std::vector<std::uint64_t> gone_;
};

}  // namespace culvert::drive
