#include "quic/library_memory.h"

#include "base/limits.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace culvert::quic {
namespace {

// Before each piece stands how large it is.
constexpr std::size_t kHeadBytes = alignof(std::max_align_t);
static_assert(kHeadBytes >= sizeof(std::size_t));

std::size_t size_of_piece(const void* memory) {
  std::size_t size = 0;
  std::memcpy(&size, static_cast<const std::byte*>(memory) - kHeadBytes, sizeof size);
  return size;
}

// The budget is told in such steps.
constexpr std::size_t kLibraryStep = 64 * 1024;

}  // namespace

LibraryMemory::LibraryMemory()
    : allocator_{.user_data = this,
                 .malloc = allocate,
                 .free = release,
                 .calloc = allocate_zeroed,
                 .realloc = reallocate} {}

void* LibraryMemory::allocate(std::size_t size, void* self) {
  if (size > std::numeric_limits<std::size_t>::max() - kHeadBytes) return nullptr;
  auto* memory = static_cast<std::byte*>(std::malloc(kHeadBytes + size));
  if (memory == nullptr) return nullptr;
  std::memcpy(memory, &size, sizeof size);
  static_cast<LibraryMemory*>(self)->bytes_ += size;
  return memory + kHeadBytes;
}

void* LibraryMemory::allocate_zeroed(std::size_t count, std::size_t size, void* self) {
  if (size != 0 && count > std::numeric_limits<std::size_t>::max() / size) return nullptr;
  void* memory = allocate(count * size, self);
  if (memory != nullptr) std::memset(memory, 0, count * size);
  return memory;
}

void* LibraryMemory::reallocate(void* memory, std::size_t size, void* self) {
  void* moved = allocate(size, self);
  if (moved == nullptr || memory == nullptr) return moved;
  std::memcpy(moved, memory, std::min(size, size_of_piece(memory)));
  release(memory, self);
  return moved;
}

bool LibraryMemory::is_too_much(buffers::SessionBudget& budget, std::size_t usual) {
  const std::size_t beyond = bytes_ > usual ? bytes_ - usual : 0;
  const std::size_t rounded = beyond / kLibraryStep * kLibraryStep;
  if (rounded == counted_) return false;
  return !budget.count_library(counted_, rounded) || beyond > limits::kLibraryBytes;
}

void LibraryMemory::recount(buffers::SessionBudget& from, buffers::SessionBudget& to) {
  const std::size_t counted = counted_;
  uncount(from);
  // What was there before is taken over, too much or not.
  static_cast<void>(to.count_library(counted_, counted));
}

void LibraryMemory::uncount(buffers::SessionBudget& budget) {
  static_cast<void>(budget.count_library(counted_, 0));
}

void LibraryMemory::release(void* memory, void* self) {
  if (memory == nullptr) return;
  static_cast<LibraryMemory*>(self)->bytes_ -= size_of_piece(memory);
  std::free(static_cast<std::byte*>(memory) - kHeadBytes);
}

}  // namespace culvert::quic
