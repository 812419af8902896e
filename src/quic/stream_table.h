// The streams of one connection and the queues they wait in. Internal to quic/.
#pragma once

#include "quic/acknowledged_run.h"
#include "quic/connection.h"

#include <memory>
#include <vector>

namespace culvert::quic {

// Owns the streams. Costs nothing per packet for a stream that is in no queue.
class StreamTable {
 public:
  explicit StreamTable(buffers::ChunkPool& chunks) : chunks_(chunks) {}

  Stream& add(StreamId id, bool is_local, std::size_t send_limit);
  // Takes the stream out of the table and every queue.
  [[nodiscard]] std::unique_ptr<Stream> remove(Stream& stream);

  [[nodiscard]] std::size_t size() const { return streams_.size(); }
  // Walks over all streams, one each call, for ever; nullptr when there are none.
  [[nodiscard]] Stream* next_in_turn();
  [[nodiscard]] const std::vector<std::unique_ptr<Stream>>& all() const { return streams_; }

  IntrusiveList<Stream, &Stream::send_hook> sendable;      // has data or a FIN to send
  IntrusiveList<Stream, &Stream::readable_hook> readable;  // has news for the application
  IntrusiveList<Stream, &Stream::writable_hook> writable;  // wished for space and has it
  AcknowledgedRun<Stream> acknowledged;                    // of the packet that is being read

 private:
  buffers::ChunkPool& chunks_;
  std::vector<std::unique_ptr<Stream>> streams_;  // Stream::index is the place
  std::size_t turn_ = 0;
};

}  // namespace culvert::quic
