#include "quic/library_memory.h"

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

void LibraryMemory::release(void* memory, void* self) {
  if (memory == nullptr) return;
  static_cast<LibraryMemory*>(self)->bytes_ -= size_of_piece(memory);
  std::free(static_cast<std::byte*>(memory) - kHeadBytes);
}

}  // namespace culvert::quic
