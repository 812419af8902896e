// What ngtcp2 holds for one connection, counted: a peer decides how much that is. One that sends
// every second byte of its streams makes it keep a note of each gap, many times what it sent;
// ngtcp2 1.11 itself minds only how many of them one stream has. Internal to quic/.
#pragma once

#include "buffers/session_budget.h"

#include <ngtcp2/ngtcp2.h>

#include <cstddef>

namespace culvert::quic {

// Outlives the connection that it is given to. Of the worker's thread.
class LibraryMemory {
 public:
  LibraryMemory();
  LibraryMemory(const LibraryMemory&) = delete;
  LibraryMemory& operator=(const LibraryMemory&) = delete;

  [[nodiscard]] const ngtcp2_mem* allocator() const { return &allocator_; }
  // Handed out and not given back, as it was asked for.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  // Tells the budget, in coarse steps, what is held beyond the `usual`. Whether that is more than
  // any peer needs, or than there is.
  [[nodiscard]] bool is_too_much(buffers::SessionBudget& budget, std::size_t usual);
  // From now on `to` counts what `from` does; or nobody.
  void recount(buffers::SessionBudget& from, buffers::SessionBudget& to);
  void uncount(buffers::SessionBudget& budget);

 private:
  static void* allocate(std::size_t size, void* self);
  static void* allocate_zeroed(std::size_t count, std::size_t size, void* self);
  static void* reallocate(void* memory, std::size_t size, void* self);
  static void release(void* memory, void* self);

  ngtcp2_mem allocator_;
  std::size_t bytes_ = 0;
  std::size_t counted_ = 0;  // as the budget knows it
};

}  // namespace culvert::quic
