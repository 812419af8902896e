#include "ports/timer_heap.h"

#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace culvert {
namespace {

using std::chrono::milliseconds;

constexpr Instant kHeapStart = Instant{} + std::chrono::seconds(1);

// Notes when it fired, and may do something then.
class Alarm final : public Timer {
 public:
  using Timer::Timer;
  std::vector<Instant> fired;
  std::function<void(Instant)> on_fire;

 private:
  void on_timer(Instant now) override {
    fired.push_back(now);
    if (on_fire) on_fire(now);
  }
};

// A hundred timers that are set, moved and cancelled at random: each fires at the first call that
// is not before its deadline, and the heap is never asked too late.
TEST(TimerHeap, fires_each_timer_when_it_is_due_and_only_then) {
  TimerHeap heap;
  SeededRng rng(7);
  std::array<std::optional<Alarm>, 100> alarms;
  for (auto& alarm : alarms) alarm.emplace(heap);
  Instant now = kHeapStart;
  for (int step = 0; step < 20'000; ++step) {
    auto& alarm = alarms.at(rng.below(alarms.size()));
    switch (rng.below(8)) {
      case 0:
        alarm->cancel();
        break;
      case 1:
        alarm.emplace(heap);
        break;
      default:
        alarm->set(now + milliseconds(1 + rng.below(500)));
    }
    if (rng.below(3) != 0) continue;
    now += milliseconds(rng.below(40));
    std::array<bool, 100> is_due{};
    for (std::size_t i = 0; i < alarms.size(); ++i) {
      is_due.at(i) = alarms.at(i)->deadline() <= now;
      EXPECT_LE(heap.next_deadline(), alarms.at(i)->deadline());
      alarms.at(i)->fired.clear();
    }
    heap.fire(now);
    for (std::size_t i = 0; i < alarms.size(); ++i) {
      ASSERT_EQ(alarms.at(i)->fired.size(), is_due.at(i) ? 1U : 0U);
      EXPECT_FALSE(is_due.at(i) && alarms.at(i)->is_set());
    }
    EXPECT_GT(heap.next_deadline(), now);
  }
}

// Otherwise a timer that is always due would stop the loop.
TEST(TimerHeap, fires_what_is_set_meanwhile_in_the_next_call) {
  TimerHeap heap;
  Alarm alarm(heap);
  alarm.on_fire = [&](Instant) { alarm.set(kHeapStart); };
  alarm.set(kHeapStart);
  heap.fire(kHeapStart);
  EXPECT_EQ(alarm.fired.size(), 1U);
  heap.fire(kHeapStart + milliseconds(1));
  EXPECT_EQ(alarm.fired.size(), 2U);
}

TEST(TimerHeap, lets_timers_end_themselves_and_others) {
  TimerHeap heap;
  std::vector<std::unique_ptr<Alarm>> alarms;
  for (int i = 0; i < 10; ++i) {
    alarms.push_back(std::make_unique<Alarm>(heap));
    alarms.back()->set(kHeapStart + milliseconds(i));
  }
  int fired = 0;
  alarms[0]->on_fire = [&](Instant) {
    ++fired;
    for (std::size_t i = 2; i < alarms.size(); ++i) alarms[i].reset();
  };
  alarms[1]->on_fire = [&](Instant) { ++fired; };
  heap.fire(kHeapStart + milliseconds(100));
  EXPECT_EQ(fired, 2);
  EXPECT_EQ(heap.size(), 0U);
  EXPECT_EQ(heap.next_deadline(), kNever);
}

// As idle timers do with every packet: the heap finds out when the old deadline comes.
TEST(TimerHeap, leaves_a_timer_that_moves_later_where_it_is) {
  TimerHeap heap;
  Alarm alarm(heap);
  alarm.set(kHeapStart);
  alarm.set(kHeapStart + milliseconds(10));
  EXPECT_EQ(heap.next_deadline(), kHeapStart);
  heap.fire(kHeapStart);
  EXPECT_TRUE(alarm.fired.empty());
  EXPECT_EQ(heap.next_deadline(), kHeapStart + milliseconds(10));
  heap.fire(kHeapStart + milliseconds(10));
  EXPECT_EQ(alarm.fired.size(), 1U);
}

TEST(TimerHeap, fires_all_of_equal_deadlines_in_one_call) {
  TimerHeap heap;
  std::vector<std::unique_ptr<Alarm>> alarms;
  for (int i = 0; i < 100; ++i) {
    alarms.push_back(std::make_unique<Alarm>(heap));
    alarms.back()->set(kHeapStart + milliseconds(i % 2));
  }
  heap.fire(kHeapStart);
  for (std::size_t i = 0; i < alarms.size(); ++i) {
    EXPECT_EQ(alarms[i]->fired.size(), i % 2 == 0 ? 1U : 0U);
  }
  EXPECT_EQ(heap.size(), 50U);
  EXPECT_EQ(heap.next_deadline(), kHeapStart + milliseconds(1));
}

TEST(TimerHeap, fires_thousands_in_the_order_of_their_deadlines) {
  constexpr int kCount = 5'000;
  TimerHeap heap;
  SeededRng rng(11);
  std::vector<Instant> order;
  std::vector<std::unique_ptr<Alarm>> alarms;
  for (int i = 0; i < kCount; ++i) {
    alarms.push_back(std::make_unique<Alarm>(heap));
    Alarm& alarm = *alarms.back();
    const Instant deadline = kHeapStart + Duration(rng.below(1'000));
    alarm.on_fire = [&order, deadline](Instant) { order.push_back(deadline); };
    alarm.set(deadline);
  }
  heap.fire(kHeapStart + Duration(1'000));
  EXPECT_EQ(order.size(), std::size_t{kCount});
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST(TimerHeap, moves_a_timer_that_is_set_sooner_or_again_after_it_was_cancelled) {
  TimerHeap heap;
  Alarm later(heap);
  Alarm alarm(heap);
  later.set(kHeapStart + milliseconds(5));
  alarm.set(kHeapStart + milliseconds(10));
  alarm.set(kHeapStart + milliseconds(1));
  EXPECT_EQ(heap.next_deadline(), kHeapStart + milliseconds(1));
  alarm.cancel();
  EXPECT_FALSE(alarm.is_set());
  heap.fire(kHeapStart + milliseconds(1));
  EXPECT_TRUE(alarm.fired.empty());
  EXPECT_EQ(heap.size(), 1U);
  alarm.set(kHeapStart + milliseconds(3));
  alarm.cancel();
  alarm.set(kHeapStart + milliseconds(4));  // it is still in the heap, for 3 ms
  heap.fire(kHeapStart + milliseconds(3));
  EXPECT_TRUE(alarm.fired.empty());
  heap.fire(kHeapStart + milliseconds(4));
  EXPECT_EQ(alarm.fired.size(), 1U);
  EXPECT_EQ(later.fired.size(), 0U);
}

}  // namespace
}  // namespace culvert
