#include "quic/stream_table.h"

#include "base/assert.h"

namespace culvert::quic {

Stream& StreamTable::add(StreamId id, bool is_local, std::size_t send_limit) {
  auto stream = std::make_unique<Stream>(id, chunks_, send_limit);
  stream->is_local = is_local;
  stream->index = static_cast<std::uint32_t>(streams_.size());
  streams_.push_back(std::move(stream));
  return *streams_.back();
}

std::unique_ptr<Stream> StreamTable::remove(Stream& stream) {
  const std::uint32_t index = stream.index;
  CULVERT_ASSERT(index < streams_.size() && streams_[index].get() == &stream);
  sendable.remove(stream);
  readable.remove(stream);
  writable.remove(stream);
  std::unique_ptr<Stream> removed = std::move(streams_[index]);
  if (index + 1 != streams_.size()) {
    streams_[index] = std::move(streams_.back());
    streams_[index]->index = index;
  }
  streams_.pop_back();
  return removed;
}

Stream* StreamTable::next_in_turn() {
  if (streams_.empty()) return nullptr;
  if (turn_ >= streams_.size()) turn_ = 0;
  return streams_[turn_++].get();
}

}  // namespace culvert::quic
