// What the flows of one session write to: its connection of the moment. Streams taken from a
// lost connection (Stream::is_parked) only change their own state here; what is left in them
// goes on when the session has a connection again. Private to drive/.
#pragma once

#include "drive/worker.h"
#include "quic/connection.h"

#include <cstdint>
#include <utility>
#include <vector>

namespace culvert::drive {

// Owned by its session.
class Carrier {
 public:
  explicit Carrier(Worker& worker) : worker_(worker) {}

  void bind(quic::Connection* connection) { connection_ = connection; }
  [[nodiscard]] quic::Connection* connection() { return connection_; }
  [[nodiscard]] const quic::Connection* connection() const { return connection_; }

  void submit(quic::Stream& stream) {
    if (!stream.is_parked) connection_->submit(stream);
  }
  void finish(quic::Stream& stream) {
    stream.is_fin_queued = true;
    if (!stream.is_parked) connection_->finish(stream);
  }
  void reset(quic::Stream& stream, std::uint64_t code);
  void stop_sending(quic::Stream& stream, std::uint64_t code);
  void consume(quic::Stream& stream, std::size_t count) {
    if (stream.is_parked) {
      stream.input.consume(count);
    } else {
      connection_->consume(stream, count);
    }
  }
  void touch() {
    if (connection_ != nullptr) worker_.touch(*connection_);
  }
  [[nodiscard]] bool send_datagram(ByteView header, ByteView payload) {
    return connection_ != nullptr &&
           header.size() + payload.size() <= connection_->max_datagram_payload() &&
           connection_->send_datagram(header, payload);
  }

  // Flows that were reset before the peer knew that they go on here: their streams may never
  // tell it.
  [[nodiscard]] std::vector<std::uint64_t> take_gone() { return std::exchange(gone_, {}); }

 private:
  Worker& worker_;
  quic::Connection* connection_ = nullptr;
  std::vector<std::uint64_t> gone_;
};

}  // namespace culvert::drive
