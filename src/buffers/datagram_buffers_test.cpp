#include "buffers/datagram_buffers.h"

#include "base/limits.h"

#include <gtest/gtest.h>

namespace culvert::buffers {
namespace {

constexpr Instant kBuffersStart(std::chrono::seconds(100));

class DatagramBuffersTest : public testing::Test {
 public:
  SessionBudget budget{limits::kSessionBufferBytes};
  SessionBudget other{limits::kSessionBufferBytes};
  DatagramBuffers buffers;
  const Bytes payload = Bytes(100, 7);
};

TEST_F(DatagramBuffersTest, lends_each_that_has_arrived_until_the_next_call) {
  const Bytes second(50, 8);
  EXPECT_EQ(buffers.push_incoming(kBuffersStart, budget, payload), 0U);
  EXPECT_EQ(buffers.push_incoming(kBuffersStart, budget, second), 0U);
  const auto first = buffers.poll_incoming();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size(), payload.size());
  // One that arrives meanwhile does not bring the lent one back.
  EXPECT_EQ(buffers.push_incoming(kBuffersStart, budget, payload), 0U);
  const auto next = buffers.poll_incoming();
  ASSERT_TRUE(next);
  EXPECT_EQ(next->size(), second.size());
  EXPECT_TRUE(buffers.poll_incoming());
  EXPECT_FALSE(buffers.poll_incoming());
}

TEST_F(DatagramBuffersTest, counts_its_memory_in_the_budget) {
  EXPECT_EQ(buffers.push_outgoing(kBuffersStart, budget, {}, payload), 0U);
  EXPECT_EQ(buffers.push_incoming(kBuffersStart, budget, payload), 0U);
  EXPECT_GE(budget.held_bytes(), payload.size());
  EXPECT_GE(budget.committed_bytes(), payload.size());
  buffers.recount(budget, other);
  EXPECT_EQ(budget.held_bytes(), 0U);
  EXPECT_EQ(budget.committed_bytes(), 0U);
  EXPECT_GE(other.held_bytes(), payload.size());
  buffers.uncount(other);
  EXPECT_EQ(other.held_bytes(), 0U);
  EXPECT_EQ(other.committed_bytes(), 0U);
}

TEST_F(DatagramBuffersTest, holds_nothing_after_a_rest) {
  EXPECT_EQ(buffers.push_outgoing(kBuffersStart, budget, {}, payload), 0U);
  buffers.outgoing().pop();
  buffers.rest(kBuffersStart + limits::kStreamIdle - std::chrono::milliseconds(1), budget);
  EXPECT_GT(budget.held_bytes(), 0U);
  buffers.rest(kBuffersStart + limits::kStreamIdle, budget);
  EXPECT_EQ(budget.held_bytes(), 0U);
}

TEST_F(DatagramBuffersTest, drops_the_oldest_of_too_many) {
  const Bytes large(1000, 1);
  std::size_t dropped = 0;
  for (std::size_t sent = 0; sent < 2 * limits::kDatagramQueueBytes; sent += large.size()) {
    dropped += buffers.push_incoming(kBuffersStart, budget, large);
  }
  EXPECT_GT(dropped, 0U);
  EXPECT_LE(budget.committed_bytes(), 2 * limits::kDatagramQueueBytes);
}

}  // namespace
}  // namespace culvert::buffers
