#include "quic/library_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>

namespace culvert::quic {
namespace {

TEST(LibraryMemory, counts_what_is_handed_out_and_given_back) {
  LibraryMemory memory;
  const ngtcp2_mem& from = *memory.allocator();
  void* first = from.malloc(100, from.user_data);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % alignof(std::max_align_t), 0U);
  std::memset(first, 7, 100);
  auto* second = static_cast<std::uint8_t*>(from.calloc(10, 20, from.user_data));
  ASSERT_NE(second, nullptr);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(second[i], 0);
  EXPECT_EQ(memory.bytes(), 300U);
  auto* moved = static_cast<std::uint8_t*>(from.realloc(first, 1'000, from.user_data));
  ASSERT_NE(moved, nullptr);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(moved[i], 7);
  EXPECT_EQ(memory.bytes(), 1'200U);
  moved = static_cast<std::uint8_t*>(from.realloc(moved, 10, from.user_data));
  EXPECT_EQ(memory.bytes(), 210U);
  from.free(moved, from.user_data);
  from.free(second, from.user_data);
  from.free(nullptr, from.user_data);
  EXPECT_EQ(memory.bytes(), 0U);
}

TEST(LibraryMemory, has_nothing_for_sizes_that_do_not_exist) {
  LibraryMemory memory;
  const ngtcp2_mem& from = *memory.allocator();
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  EXPECT_EQ(from.calloc(kMost / 2, 3, from.user_data), nullptr);
  EXPECT_EQ(from.malloc(kMost, from.user_data), nullptr);
  void* none = from.realloc(nullptr, 5, from.user_data);
  EXPECT_EQ(memory.bytes(), 5U);
  from.free(none, from.user_data);
  EXPECT_EQ(memory.bytes(), 0U);
}

}  // namespace
}  // namespace culvert::quic
