#include "buffers/datagram_queue.h"

#include "base/rng.h"

#include <gtest/gtest.h>

#include <deque>

namespace culvert::buffers {
namespace {

TEST(DatagramQueue, joins_header_and_payload_and_keeps_order) {
  DatagramQueue queue(1000, 10);
  EXPECT_EQ(queue.push(as_bytes("a"), as_bytes("bc")), 0U);
  EXPECT_EQ(queue.push({}, {}), 0U);
  EXPECT_EQ(queue.push(as_bytes("d"), {}), 0U);
  EXPECT_EQ(as_text(queue.front()), "abc");
  queue.pop();
  EXPECT_TRUE(queue.front().empty());
  queue.pop();
  EXPECT_EQ(as_text(queue.front()), "d");
  queue.pop();
  EXPECT_TRUE(queue.is_empty());
}

TEST(DatagramQueue, drops_the_oldest_when_a_bound_is_reached) {
  DatagramQueue by_count(1000, 2);
  EXPECT_EQ(by_count.push(as_bytes("1"), {}), 0U);
  EXPECT_EQ(by_count.push(as_bytes("2"), {}), 0U);
  EXPECT_EQ(by_count.push(as_bytes("3"), {}), 1U);
  EXPECT_EQ(as_text(by_count.front()), "2");

  DatagramQueue by_bytes(10, 100);
  EXPECT_EQ(by_bytes.push(as_bytes("aaaa"), {}), 0U);
  EXPECT_EQ(by_bytes.push(as_bytes("bbbb"), {}), 0U);
  EXPECT_EQ(by_bytes.push(as_bytes("ccccccc"), {}), 2U);
  EXPECT_EQ(as_text(by_bytes.front()), "ccccccc");
  EXPECT_EQ(by_bytes.push(as_bytes("much too large"), {}), 1U);
  EXPECT_EQ(by_bytes.count(), 1U);
}

TEST(DatagramQueue, agrees_with_a_plain_queue_over_random_use) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    SeededRng rng(seed);
    DatagramQueue queue(5'000, 40);
    std::deque<Bytes> model;
    for (int i = 0; i < 2'000; ++i) {
      if (rng.below(100) < 55) {
        Bytes bytes(rng.below(10) == 0 ? 0 : rng.below(700));
        rng.fill(bytes);
        const std::size_t cut = rng.below(bytes.size() + 1);
        const std::size_t dropped =
            queue.push(ByteView(bytes).first(cut), ByteView(bytes).subspan(cut));
        ASSERT_LE(dropped, model.size());
        model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(dropped));
        model.push_back(bytes);
      } else if (!model.empty()) {
        queue.pop();
        model.pop_front();
      }
      ASSERT_EQ(queue.count(), model.size());
      if (!model.empty()) {
        ASSERT_EQ(Bytes(queue.front().begin(), queue.front().end()), model.front());
      }
    }
    while (!model.empty()) {
      ASSERT_EQ(Bytes(queue.front().begin(), queue.front().end()), model.front());
      queue.pop();
      model.pop_front();
    }
  }
}

TEST(DatagramQueue, grows_to_its_limit_of_the_moment_and_gives_memory_back) {
  DatagramQueue queue(100'000, 1'000);
  EXPECT_EQ(queue.memory_bytes(), 0U);
  queue.limit(10'000);
  for (int i = 0; i < 50; ++i) static_cast<void>(queue.push({}, Bytes(1'000)));
  EXPECT_LE(queue.count(), 10U);
  EXPECT_GE(queue.count(), 5U);
  queue.limit(1'000'000);  // no more than it was made for
  for (int i = 0; i < 200; ++i) static_cast<void>(queue.push({}, Bytes(1'000)));
  EXPECT_LE(queue.count(), 100U);
  EXPECT_GE(queue.count(), 50U);
  queue.limit(1'000);  // what is there stays
  EXPECT_GE(queue.count(), 50U);
  EXPECT_EQ(queue.push({}, Bytes(1'000)), 1U);
  queue.give_back();
  EXPECT_GT(queue.memory_bytes(), 0U);
  queue.clear();
  queue.give_back();
  EXPECT_EQ(queue.memory_bytes(), 0U);
  EXPECT_EQ(queue.push({}, Bytes(900)), 0U);
  EXPECT_EQ(queue.front().size(), 900U);
}

}  // namespace
}  // namespace culvert::buffers
