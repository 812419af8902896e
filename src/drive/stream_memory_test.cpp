#include "drive/stream_memory.h"

#include "ports/null_host.h"

#include <gtest/gtest.h>

#include <vector>

namespace culvert::drive {
namespace {

constexpr Instant kMemoryStart(std::chrono::seconds(100));

class CountingHost final : public NullHost {
 public:
  void give_back_memory() override { ++returns; }
  int returns = 0;
};

class StreamMemoryTest : public testing::Test {
 public:
  void take(std::size_t chunks) {
    for (std::size_t i = 0; i < chunks; ++i) {
      taken_.push_back(memory.chunks().take(buffers::kChunkBytes));
    }
  }
  void give_all() {
    for (auto& chunk : taken_) memory.chunks().give(std::move(chunk), buffers::kChunkBytes);
    taken_.clear();
  }

  TimerHeap timers;
  CountingHost host;
  StreamMemory memory{timers, host};

 private:
  std::vector<buffers::Chunk> taken_;
};

TEST_F(StreamMemoryTest, gives_back_once_some_time_after_much_was_freed) {
  take(1000);
  memory.end_turn(kMemoryStart);
  give_all();
  memory.end_turn(kMemoryStart);
  timers.fire(kMemoryStart + limits::kMemoryReturn - std::chrono::milliseconds(1));
  EXPECT_EQ(host.returns, 0);
  timers.fire(kMemoryStart + limits::kMemoryReturn);
  EXPECT_EQ(host.returns, 1);
  memory.end_turn(kMemoryStart + limits::kMemoryReturn);
  EXPECT_EQ(timers.size(), 0U);
}

TEST_F(StreamMemoryTest, keeps_what_is_in_use_again) {
  take(1000);
  give_all();
  memory.end_turn(kMemoryStart);
  take(1000);
  timers.fire(kMemoryStart + limits::kMemoryReturn);
  EXPECT_EQ(host.returns, 0);
  give_all();
}

TEST_F(StreamMemoryTest, has_no_timer_while_nothing_was_freed) {
  take(1000);
  memory.end_turn(kMemoryStart);
  EXPECT_EQ(timers.size(), 0U);
  give_all();
}

}  // namespace
}  // namespace culvert::drive
