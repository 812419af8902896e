// Bytes in both directions, as whoever uses them sees it: two buffers, how each direction stands,
// and five verbs. Behind it is a stream of one connection (quic/stream.h), or several of them that
// a driver makes into one (peer/stripe.h).
#pragma once

#include "buffers/stream_buffer.h"

#include <cstddef>
#include <cstdint>

namespace culvert::buffers {

class ByteStream {
 public:
  ByteStream(ChunkPool& pool, std::size_t send_limit) : output(pool, send_limit), input(pool) {}
  ByteStream(const ByteStream&) = delete;
  ByteStream& operator=(const ByteStream&) = delete;

  virtual void submit() = 0;                          // output grew
  virtual void finish() = 0;                          // nothing follows what is in output
  virtual void reset(std::uint64_t code) = 0;         // output is over, and what is left of it gone
  virtual void stop_sending(std::uint64_t code) = 0;  // likewise for input
  virtual void consume(std::size_t count) = 0;        // input was read: the peer may send more

  // Everything the peer sent has been consumed.
  [[nodiscard]] bool is_input_finished() const { return is_fin_received && input.size() == 0; }

  void* context = nullptr;       // the driver's own: its flow
  SendBuffer output;             // fill, then submit()
  RecvBuffer input;              // read its views, then consume()
  std::uint64_t flow_id = 0;     // resume: the driver's name for it; 0: it ends with its connection
  bool is_fin_queued = false;    // we: no more data after output
  bool is_fin_received = false;  // peer: no more data after input
  bool is_reset_received = false;
  bool is_output_over = false;    // reset by us, or stopped by the peer
  bool is_input_dropped = false;  // stop_sending()
  bool wants_space = false;       // set to be told once output has space again
  bool is_parked = false;         // taken from a closed connection; of none now
  // It was reset when the peer may not have known yet that the flow is here: what it is told on
  // this stream may mean nothing to it.
  bool is_end_untold = false;

 protected:
  ~ByteStream() = default;
};

}  // namespace culvert::buffers
