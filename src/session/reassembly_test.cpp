#include "session/reassembly.h"

#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::session {
namespace {

// What a receiver does with it.
struct Receiver {
  Reassembly reassembly{1'000'000};
  Bytes got;

  [[nodiscard]] bool add(std::uint64_t offset, ByteView bytes) {
    const auto in_order = reassembly.add(offset, bytes);
    if (!in_order) return false;
    if (in_order->empty()) return true;
    got.insert(got.end(), in_order->begin(), in_order->end());
    while (const auto piece = reassembly.take()) {
      got.insert(got.end(), piece->begin(), piece->end());
    }
    return true;
  }
};

Bytes pattern(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7 + i / 256);
  return bytes;
}

TEST(Reassembly, puts_chunks_in_order_and_drops_what_came_before) {
  Receiver receiver;
  const Bytes all = pattern(30);
  const ByteView view(all);
  EXPECT_TRUE(receiver.add(20, view.subspan(20, 10)));
  EXPECT_TRUE(receiver.got.empty());
  EXPECT_EQ(receiver.reassembly.held_bytes(), 10U);
  EXPECT_TRUE(receiver.add(15, view.subspan(15, 10)));  // half of it is here
  EXPECT_EQ(receiver.reassembly.held_bytes(), 15U);
  EXPECT_TRUE(receiver.add(0, view.first(16)));
  EXPECT_EQ(receiver.got, all);
  EXPECT_EQ(receiver.reassembly.held_bytes(), 0U);
  EXPECT_TRUE(receiver.add(3, view.subspan(3, 20)));
  EXPECT_EQ(receiver.got.size(), 30U);
}

TEST(Reassembly, is_complete_at_the_end_that_was_named) {
  Receiver receiver;
  const Bytes all = pattern(10);
  EXPECT_TRUE(receiver.reassembly.set_end(10));
  EXPECT_FALSE(receiver.reassembly.is_complete());
  EXPECT_TRUE(receiver.add(0, all));
  EXPECT_TRUE(receiver.reassembly.is_complete());
  EXPECT_TRUE(receiver.reassembly.set_end(10));
}

TEST(Reassembly, refuses_bytes_beyond_the_limit_or_the_end) {
  Receiver receiver;
  receiver.reassembly.set_limit(20);
  const Bytes some = pattern(10);
  EXPECT_FALSE(receiver.add(11, some));
  EXPECT_TRUE(receiver.add(10, some));
  EXPECT_FALSE(receiver.reassembly.set_end(19));  // there are bytes behind it
  EXPECT_TRUE(receiver.reassembly.set_end(20));
  EXPECT_FALSE(receiver.reassembly.set_end(21));
  receiver.reassembly.set_limit(100);
  EXPECT_FALSE(receiver.add(15, some));
}

TEST(Reassembly, holds_a_bounded_number_of_pieces) {
  Receiver receiver;
  const Bytes byte{1};
  for (std::size_t i = 0; i < Reassembly::kMaxPieces; ++i) {
    ASSERT_TRUE(receiver.add(1 + 2 * i, byte)) << i;
  }
  EXPECT_FALSE(receiver.add(1 + 2 * Reassembly::kMaxPieces, byte));
}

// Any chunks in any order, many of them twice and overlapping.
TEST(Reassembly, yields_the_same_bytes_whatever_the_order) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRng rng(seed);
    const Bytes all = pattern(2'000);
    Receiver receiver;
    for (int i = 0; i < 400; ++i) {
      const std::size_t offset = rng.below(all.size());
      const std::size_t size = 1 + rng.below(std::min<std::size_t>(100, all.size() - offset));
      ASSERT_TRUE(receiver.add(offset, ByteView(all).subspan(offset, size)));
      ASSERT_LE(receiver.reassembly.held_bytes(), all.size());
    }
    ASSERT_TRUE(receiver.add(0, all));
    ASSERT_EQ(receiver.got, all) << seed;
    ASSERT_EQ(receiver.reassembly.held_bytes(), 0U);
  }
}

}  // namespace
}  // namespace culvert::session
