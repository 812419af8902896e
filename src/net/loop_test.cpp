#include "net/loop.h"

#include "net/signal_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <string>
#include <thread>

#include <sys/epoll.h>
#include <unistd.h>

namespace culvert::net {
namespace {

using std::chrono::milliseconds;

class Item final : public Runnable {
 public:
  explicit Item(std::function<void(Instant)> task) : task_(std::move(task)) {}
  void run(Instant now) override { task_(now); }

 private:
  std::function<void(Instant)> task_;
};

TEST(LoopTimers, come_in_order_and_not_too_early) {
  Loop loop;
  std::string order;
  const Instant start = loop.refresh_now();
  const auto third = loop.after(milliseconds(9), [&](Instant now) {
    order += 'c';
    EXPECT_GE(now - start, milliseconds(9));
    loop.stop();
  });
  const auto first = loop.after(milliseconds(2), [&](Instant) { order += 'a'; });
  const auto second = loop.after(milliseconds(5), [&](Instant now) {
    order += 'b';
    EXPECT_GE(now - start, milliseconds(5));
  });
  loop.run();
  EXPECT_EQ(order, "abc");
}

TEST(LoopTimers, may_be_cancelled_and_replaced_in_their_own_task) {
  Loop loop;
  int runs = 0;
  auto cancelled = loop.after(milliseconds(1), [&](Instant) { ADD_FAILURE(); });
  cancelled.reset();
  std::unique_ptr<TimerPort> timer;
  std::function<void(Instant)> again = [&](Instant) {
    if (++runs == 5) return loop.stop();
    timer = loop.after({}, again);
  };
  timer = loop.after({}, again);
  loop.run();
  EXPECT_EQ(runs, 5);
}

TEST(LoopTimers, that_start_each_other_let_descriptors_be_served) {
  Loop loop;
  std::unique_ptr<TimerPort> timer;
  std::function<void(Instant)> again = [&](Instant) { timer = loop.after({}, again); };
  timer = loop.after({}, again);
  EXPECT_TRUE(loop.mailbox()->post([&] { loop.stop(); }));
  loop.run();
}

TEST(LoopTimers, may_outlive_their_loop) {
  auto loop = std::make_unique<Loop>();
  const auto timer = loop->after(milliseconds(1), [](Instant) { ADD_FAILURE(); });
  loop.reset();
}

TEST(LoopDeadline, is_served_when_due_and_only_then) {
  Loop loop;
  const Instant due = loop.refresh_now() + milliseconds(3);
  Item item([&](Instant now) {
    EXPECT_GE(now, due);
    loop.stop();
  });
  loop.set_deadline(due + milliseconds(500), item);
  loop.set_deadline(due, item);
  loop.run();
}

TEST(LoopDeadline, that_was_taken_back_does_not_come) {
  Loop loop;
  Item item([](Instant) { ADD_FAILURE(); });
  loop.set_deadline(loop.refresh_now() + milliseconds(1), item);
  loop.set_deadline(kNever, item);
  const auto end = loop.after(milliseconds(5), [&](Instant) { loop.stop(); });
  loop.run();
}

TEST(LoopReady, items_run_once_and_what_they_make_ready_runs_the_next_turn) {
  Loop loop;
  std::string order;
  Item second([&](Instant) {
    order += 'b';
    loop.stop();
  });
  Item first([&](Instant) {
    order += 'a';
    loop.make_ready(second);
    loop.make_ready(second);
  });
  Item turn_end([&](Instant) { order += '.'; });
  loop.make_ready(first);
  loop.make_ready(first);
  loop.request_turn_end(turn_end);
  loop.run();
  EXPECT_EQ(order, "a.b");
}

TEST(LoopMailbox, wakes_a_loop_that_waits_for_nothing) {
  Loop loop;
  std::jthread other(
      [mailbox = loop.mailbox(), &loop] { EXPECT_TRUE(mailbox->post([&loop] { loop.stop(); })); });
  loop.run();
}

TEST(SignalWatchTest, gives_the_signal_back_when_it_ends) {
  Loop loop;
  struct sigaction before{};
  ::sigaction(SIGUSR2, nullptr, &before);
  std::string got;
  {
    const SignalWatch watch(loop, {SIGUSR1, SIGUSR2}, [&](Instant, int signal) {
      got += std::to_string(signal) + ' ';
      if (signal == SIGUSR2) loop.stop();
    });
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    ASSERT_EQ(std::raise(SIGUSR2), 0);
    loop.run();
  }
  EXPECT_EQ(got, std::to_string(SIGUSR1) + ' ' + std::to_string(SIGUSR2) + ' ');
  struct sigaction after{};
  ::sigaction(SIGUSR2, nullptr, &after);
  EXPECT_EQ(after.sa_handler, before.sa_handler);
}

TEST(SignalWatchTest, knows_what_is_ignored) {
  struct sigaction ignored{};
  ignored.sa_handler = SIG_IGN;
  struct sigaction before{};
  ::sigaction(SIGUSR2, &ignored, &before);
  EXPECT_TRUE(is_ignored(SIGUSR2));
  ::sigaction(SIGUSR2, &before, nullptr);
  EXPECT_FALSE(is_ignored(SIGUSR2));
}

// A thread of its own may get the signal.
TEST(SignalWatchTest, hears_what_another_thread_was_sent) {
  Loop loop;
  int got = 0;
  const SignalWatch watch(loop, {SIGUSR1}, [&](Instant, int signal) {
    got = signal;
    loop.stop();
  });
  std::jthread other([] { ::raise(SIGUSR1); });
  loop.run();
  EXPECT_EQ(got, SIGUSR1);
}

}  // namespace
}  // namespace culvert::net
