#include "quic/library_memory.h"

#include "base/limits.h"

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

TEST(LibraryMemory, tells_the_budget_of_what_is_beyond_the_usual) {
  buffers::SessionBudget budget(limits::kSessionBufferBytes);
  buffers::SessionBudget other(limits::kSessionBufferBytes);
  LibraryMemory memory;
  const ngtcp2_mem& from = *memory.allocator();
  void* some = from.malloc(1'000'000, from.user_data);
  EXPECT_FALSE(memory.is_too_much(budget, 1'000'000));
  EXPECT_EQ(budget.library_bytes(), 0U);
  EXPECT_FALSE(memory.is_too_much(budget, 500'000));
  EXPECT_GT(budget.library_bytes(), 400'000U);
  EXPECT_LE(budget.library_bytes(), 500'000U);
  memory.recount(budget, other);
  EXPECT_EQ(budget.library_bytes(), 0U);
  EXPECT_GT(other.library_bytes(), 400'000U);
  void* much = from.malloc(limits::kLibraryBytes, from.user_data);
  EXPECT_TRUE(memory.is_too_much(other, 0));
  memory.uncount(other);
  EXPECT_EQ(other.library_bytes(), 0U);
  from.free(some, from.user_data);
  from.free(much, from.user_data);
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
