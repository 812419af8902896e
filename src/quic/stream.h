// One bidirectional stream of a connection.
#pragma once

#include "base/intrusive_list.h"
#include "buffers/byte_stream.h"
#include "buffers/receive_credit.h"

#include <cstddef>
#include <cstdint>

namespace culvert::quic {

using StreamId = std::int64_t;

class Connection;

// Owned by its Connection; the pointer is valid until StreamClosed for it was polled. One that was
// taken from a closed connection belongs to whoever took it: its verbs change its own state only.
class Stream final : public buffers::ByteStream {
 public:
  Stream(StreamId stream_id, buffers::ChunkPool& pool, std::size_t send_limit)
      : buffers::ByteStream(pool, send_limit), id(stream_id) {}

  void submit() override;
  void finish() override;
  void reset(std::uint64_t code) override;
  void stop_sending(std::uint64_t code) override;
  void consume(std::size_t count) override;

  // Flags first: they fill up those of the base, and there are thousands of streams.
  bool is_fin_sent = false;
  bool carries_messages = false;  // read and written whole: Connection::carry_messages()
  bool is_resumed = false;        // goes on where a parked one stopped
  const StreamId id;
  Connection* owner = nullptr;   // null: parked
  std::size_t refill_below = 0;  // space is told once fewer bytes than this are unsent, as well

  // The connection's own: its queues and what it remembers.
  bool is_local = false;                // we opened it
  bool is_flow_blocked = false;         // waits for MAX_STREAM_DATA
  bool is_closed_by_transport = false;  // both directions acknowledged
  bool is_close_reported = false;
  std::uint32_t index = 0;  // in its table
  ListHook<Stream> send_hook;
  ListHook<Stream> readable_hook;
  ListHook<Stream> writable_hook;
  std::size_t burst_bytes = 0;  // sent since there last was nothing to send
  std::size_t input_skip = 0;   // bytes to come that are here already
  buffers::StreamCredit credit;
  std::size_t held = 0;  // of output: what the budget knows of
};

}  // namespace culvert::quic
