// The bytes of a stream between the application and the packets: chunked, so that an
// idle stream holds nothing, a busy one stays in cache, and a long fat path can have
// many megabytes in flight.
#pragma once

#include "base/bytes.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace culvert::buffers {

// The largest chunk. A buffer begins with the smallest and doubles: a few bytes hold 1 KiB in
// each of thousands of streams, and no stream holds more than twice what it has, and that.
inline constexpr std::size_t kChunkBytes = 32 * 1024;
inline constexpr std::size_t kSmallChunkBytes = 1024;
// Chunks that 64 KiB touch at most, wherever they begin.
inline constexpr std::size_t kChunksOf64KiB = 8;
using Chunk = std::unique_ptr<std::uint8_t[]>;

// Recycles chunks last-in first-out (the warmest first). One per worker; outlives the
// buffers that use it. Keeps at most `max_cached` free chunks of each size.
class ChunkPool {
 public:
  explicit ChunkPool(std::size_t max_cached = 256) : max_cached_(max_cached) {}
  // Of a power of two of bytes, kSmallChunkBytes to kChunkBytes.
  [[nodiscard]] Chunk take(std::size_t bytes);
  void give(Chunk chunk, std::size_t bytes);
  [[nodiscard]] std::size_t chunks_in_use() const { return in_use_; }
  [[nodiscard]] std::size_t bytes_in_use() const { return bytes_in_use_; }
  // Much less is in use than was once.
  [[nodiscard]] bool has_shrunk() const;
  // Keeps none that is free.
  void give_back();

 private:
  [[nodiscard]] std::vector<Chunk>& free_of(std::size_t bytes);

  std::array<std::vector<Chunk>, 6> free_;  // by size, the smallest first
  std::size_t max_cached_;
  std::size_t in_use_ = 0;
  std::size_t bytes_in_use_ = 0;
  std::size_t most_in_use_ = 0;  // since give_back()
};

// The chunks of one buffer, first in first out. Positions count from where the ring was last
// empty; chunk 0 begins there, and each is as large as all before it together until the largest.
// Allocates nothing while empty (std::deque would hold half a kilobyte for each of 10,000 idle
// streams).
class ChunkRing {
 public:
  explicit ChunkRing(ChunkPool& pool) : pool_(&pool) {}
  ~ChunkRing() { clear(); }
  ChunkRing(const ChunkRing&) = delete;
  ChunkRing& operator=(const ChunkRing&) = delete;
  void swap(ChunkRing& other);

  [[nodiscard]] ChunkPool& pool() const { return *pool_; }
  [[nodiscard]] bool is_empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const { return memory_; }
  // Positions that are there: from the first chunk's beginning to the last one's end.
  [[nodiscard]] std::uint64_t begin_position() const { return begin_of(first_); }
  [[nodiscard]] std::uint64_t end_position() const {
    return begin_of(std::uint64_t{first_} + size_);
  }
  // Of the first chunk.
  [[nodiscard]] std::uint64_t first_end() const { return begin_of(std::uint64_t{first_} + 1); }
  // From `position`, which is there, to the end of its chunk.
  [[nodiscard]] ByteSpan from(std::uint64_t position) const;

  void push_back();
  void pop_front();
  void pop_back();
  // Gives back those at the end that begin at `position` or behind it.
  void trim(std::uint64_t position);
  void clear();

 private:
  // Of the chunk with this number since the ring was empty.
  [[nodiscard]] static std::uint64_t begin_of(std::uint64_t number);
  [[nodiscard]] static std::uint64_t number_at(std::uint64_t position);
  [[nodiscard]] static std::size_t size_of(std::uint64_t number) {
    return static_cast<std::size_t>(begin_of(number + 1) - begin_of(number));
  }
  void make_room();
  void give(std::size_t index);
  void release_if_empty();

  ChunkPool* pool_;
  std::unique_ptr<Chunk[]> slots_;
  std::uint32_t first_ = 0;  // its number: enough for 128 TiB without a pause
  std::uint32_t memory_ = 0;
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;  // a power of two, or 0
};

// What the application wrote and the peer has not acknowledged. ngtcp2 keeps pointers
// into it until then, so bytes do not move once they were sent.
class SendBuffer {
 public:
  SendBuffer(ChunkPool& pool, std::size_t limit) : limit_(limit), chunks_(pool) {}

  // Bytes that may be appended before `limit` is reached.
  [[nodiscard]] std::size_t space() const;
  [[nodiscard]] std::size_t limit() const { return limit_; }
  void set_limit(std::size_t limit) { limit_ = limit; }

  // Writable memory at the end, at most `max_bytes` and at most space(), as spans for
  // readv(); returns how many spans. Then, before any other call on this buffer, commit(n)
  // what was filled (also 0): unused chunks go back.
  [[nodiscard]] std::size_t reserve(std::size_t max_bytes, std::span<ByteSpan> out);
  void commit(std::size_t count);
  // Also beyond the limit: for heads and messages, which are short. Who carries the bytes of
  // others looks at space() first.
  void append(ByteView bytes);

  // Views of the bytes from `sent_offset()` on, at most out.size() of them and `max_bytes` in all.
  [[nodiscard]] std::size_t unsent(std::size_t max_bytes, std::span<ByteView> out) const;
  // Views of `count` bytes from `offset` on, all of them appended and not acknowledged.
  [[nodiscard]] std::size_t views(std::uint64_t offset, std::size_t count,
                                  std::span<ByteView> out) const;
  void mark_sent(std::size_t count);
  void acknowledge(std::size_t count);  // the oldest `count` bytes
  // Stream was reset: forget everything. Acknowledgements that follow mean nothing.
  void discard();

  // What was appended so far is a head; the next byte gets offset 0. Offsets before it are
  // negative (they wrap): only differences of them mean anything.
  void set_origin();
  // Goes on where `old` stopped: sends its bytes from offset `from` on (again), behind
  // `head`. This buffer is empty; `from` lies in [delivered_offset(), end_offset()] of `old`;
  // a head fits a chunk. `old` is empty afterwards.
  void inherit(SendBuffer& old, std::uint64_t from, ByteView head);
  // Bytes behind the head(s) that the peer is known to have.
  [[nodiscard]] std::uint64_t delivered_offset() const {
    return is_head_acked() ? acked_ : data_from_;
  }
  [[nodiscard]] bool is_head_acked() const {
    return static_cast<std::int64_t>(acked_ - data_from_) >= 0;
  }

  [[nodiscard]] std::uint64_t end_offset() const { return end_; }
  [[nodiscard]] std::uint64_t sent_offset() const { return sent_; }
  [[nodiscard]] std::uint64_t acked_offset() const { return acked_; }
  [[nodiscard]] bool has_unsent() const { return sent_ != end_; }
  [[nodiscard]] std::size_t unacked_bytes() const {
    return static_cast<std::size_t>(end_ - acked_);
  }
  [[nodiscard]] std::size_t memory_bytes() const { return chunks_.memory_bytes(); }

 private:
  [[nodiscard]] std::size_t reserve_up_to(std::size_t bytes, std::span<ByteSpan> out);
  void prepend(ByteView head);
  void move_behind(ByteView head);

  std::size_t limit_;
  ChunkRing chunks_;
  std::uint64_t base_ = 0;  // stream offset of position 0 of the chunks
  std::uint64_t acked_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t data_from_ = 0;  // what is before it was the head
};

// What has arrived in order and the application has not consumed. Bounded by the
// flow-control window that the connection advertises. Bytes move when some are consumed.
class RecvBuffer {
 public:
  explicit RecvBuffer(ChunkPool& pool) : chunks_(pool) {}

  void append(ByteView bytes);
  [[nodiscard]] std::size_t views(std::span<ByteView> out) const;
  void consume(std::size_t count);
  void discard();
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(end_ - start_); }
  [[nodiscard]] std::size_t memory_bytes() const { return chunks_.memory_bytes(); }

  // What was consumed so far was a head: the next byte has offset 0.
  void set_origin();
  // Puts what `old` holds before what this one holds, and goes on counting where it stopped.
  void inherit(RecvBuffer& old);
  // Bytes received behind the head.
  [[nodiscard]] std::uint64_t end_offset() const { return end_; }

 private:
  void compact();

  ChunkRing chunks_;
  std::uint64_t base_ = 0;  // as in SendBuffer
  std::uint64_t start_ = 0;
  std::uint64_t end_ = 0;
};

}  // namespace culvert::buffers
