// The memory that streams of a worker have for their bytes, and when what is free of it goes back
// to the system: flows that have ended leave much behind in an allocator that seldom gives anything
// back. Of one worker, on its thread.
#pragma once

#include "base/limits.h"
#include "buffers/stream_buffer.h"
#include "ports/ports.h"
#include "ports/timer_heap.h"

namespace culvert::drive {

class StreamMemory {
 public:
  StreamMemory(TimerHeap& timers, Host& host) : host_(host), return_(timers, *this) {}

  [[nodiscard]] buffers::ChunkPool& chunks() { return chunks_; }
  // Returns nothing at once: what ends at this moment may begin anew.
  void end_turn(Instant now) {
    if (chunks_.has_shrunk() && !return_.is_set()) return_.set(now + limits::kMemoryReturn);
  }

 private:
  void on_return(Instant) {
    if (!chunks_.has_shrunk()) return;
    chunks_.give_back();
    host_.give_back_memory();
  }

  Host& host_;
  buffers::ChunkPool chunks_;
  MemberTimer<StreamMemory, &StreamMemory::on_return> return_;
};

}  // namespace culvert::drive
