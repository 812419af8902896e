#include "net/loop.h"

#include "net/signal_watch.h"
#include "net/socket_address.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <pthread.h>
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

TEST(LoopTimers, of_the_same_moment_come_in_the_order_in_which_they_were_set) {
  Loop loop;
  // One clock reading may serve several: with so many, some are of the same nanosecond.
  constexpr std::size_t kCount = 2'000;
  std::vector<std::size_t> order;
  std::vector<std::unique_ptr<TimerPort>> timers;
  for (std::size_t i = 0; i < kCount; ++i) {
    timers.push_back(loop.after({}, [&, i](Instant) {
      order.push_back(i);
      if (order.size() == kCount) loop.stop();
    }));
  }
  loop.run();
  EXPECT_EQ(order.size(), kCount);
  EXPECT_TRUE(std::ranges::is_sorted(order));
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

TEST(LoopMailbox, keeps_the_order_of_each_thread_and_loses_nothing) {
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kPosts = 500;
  Loop loop;
  std::array<std::vector<std::size_t>, kThreads> seen;
  std::size_t count = 0;
  std::vector<std::jthread> threads;
  threads.reserve(kThreads);
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t, mailbox = loop.mailbox()] {
      for (std::size_t i = 0; i < kPosts; ++i) {
        EXPECT_TRUE(mailbox->post([&, t, i] {
          seen.at(t).push_back(i);
          if (++count == kThreads * kPosts) loop.stop();
        }));
      }
    });
  }
  loop.run();
  for (const auto& of_thread : seen) {
    EXPECT_EQ(of_thread.size(), kPosts);
    EXPECT_TRUE(std::ranges::is_sorted(of_thread));
  }
}

TEST(LoopMailbox, what_a_task_posts_has_its_turn_later) {
  Loop loop;
  std::string order;
  Item turn_end([&](Instant) { order += '.'; });
  EXPECT_TRUE(loop.mailbox()->post([&] {
    order += 'a';
    loop.request_turn_end(turn_end);
    EXPECT_TRUE(loop.mailbox()->post([&] {
      order += 'b';
      loop.stop();
    }));
  }));
  loop.run();
  EXPECT_EQ(order, "a.b");
}

TEST(LoopMailbox, ends_with_its_loop_and_refuses_afterwards) {
  auto loop = std::make_unique<Loop>();
  const auto mailbox = loop->mailbox();
  const auto held = std::make_shared<int>(1);
  EXPECT_TRUE(mailbox->post([held] { ADD_FAILURE(); }));
  loop.reset();
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(mailbox->post([] { ADD_FAILURE(); }));
}

// A pipe with a watcher that notes its events, and may do something in its turn.
class WatchedPipe final : public FdWatcher, public Runnable {
 public:
  explicit WatchedPipe(Loop& loop) : loop_(loop) {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC), 0);
    read_end_ = Fd(ends[0]);
    write_end_ = Fd(ends[1]);
    const auto watch = loop_.watch(read_end_.get(), EPOLLIN, *this);
    EXPECT_TRUE(watch.has_value());
    watch_ = *watch;
  }
  ~WatchedPipe() { loop_.unwatch(watch_, read_end_.get()); }
  WatchedPipe(const WatchedPipe&) = delete;
  WatchedPipe& operator=(const WatchedPipe&) = delete;

  void on_fd_events(std::uint32_t) override {
    ++events;
    loop_.make_ready(*this);
  }
  void run(Instant) override {
    ++turns;
    if (on_turn) on_turn();
  }
  void write() { EXPECT_EQ(::write(write_end_.get(), "x", 1), 1); }
  [[nodiscard]] int fd() const { return read_end_.get(); }

  int events = 0;
  int turns = 0;
  std::function<void()> on_turn;

 private:
  Loop& loop_;
  Fd read_end_;
  Fd write_end_;
  WatchId watch_;
};

// The kernel has told of both, when one ends the other, whose numbers go to a third at once.
TEST(LoopWatch, gives_no_events_of_a_closed_descriptor_to_the_next_that_has_its_number) {
  Loop loop;
  WatchedPipe first(loop);
  auto second = std::make_unique<WatchedPipe>(loop);
  std::unique_ptr<WatchedPipe> third;
  const int number = second->fd();
  const auto end = [&](std::unique_ptr<WatchedPipe>& other) {
    other.reset();
    third = std::make_unique<WatchedPipe>(loop);
    EXPECT_EQ(third->fd(), number);
    EXPECT_TRUE(loop.mailbox()->post([&] { loop.stop(); }));
  };
  first.on_turn = [&] { end(second); };
  first.write();
  second->write();
  loop.run();
  EXPECT_EQ(first.turns, 1);
  EXPECT_EQ(third->events, 0);
  EXPECT_EQ(third->turns, 0);
  // It hears of its own.
  third->on_turn = [&] { loop.stop(); };
  third->write();
  loop.run();
  EXPECT_EQ(third->events, 1);
}

// As above, by a task that another thread posted.
TEST(LoopWatch, ends_in_a_task_before_its_turn) {
  Loop loop;
  auto pipe = std::make_unique<WatchedPipe>(loop);
  pipe->on_turn = [] { ADD_FAILURE(); };
  pipe->write();
  EXPECT_TRUE(loop.mailbox()->post([&] {
    pipe = std::make_unique<WatchedPipe>(loop);
    EXPECT_TRUE(loop.mailbox()->post([&] { loop.stop(); }));
  }));
  loop.run();
  EXPECT_EQ(pipe->events, 0);
}

TEST(LoopWatch, tells_an_edge_once_for_each_arrival) {
  Loop loop;
  WatchedPipe pipe(loop);
  pipe.on_turn = [&] { loop.stop(); };
  pipe.write();
  loop.run();
  EXPECT_EQ(pipe.events, 1);
  const auto end = loop.after(milliseconds(2), [&](Instant) { loop.stop(); });
  loop.run();
  EXPECT_EQ(pipe.events, 1);  // it has not been read, and there is no news of it
  pipe.write();
  loop.run();
  EXPECT_EQ(pipe.events, 2);
}

TEST(SignalWatchTest, hears_signals_before_it_waits_meanwhile_and_after_it_stopped) {
  Loop loop;
  int got = 0;
  const SignalWatch watch(loop, {SIGUSR1}, [&](Instant, int) {
    ++got;
    loop.stop();
  });
  ASSERT_EQ(std::raise(SIGUSR1), 0);  // before
  loop.run();
  EXPECT_EQ(got, 1);

  // Meanwhile: in a turn, and when the loop can do nothing but wait.
  const auto in_a_turn = loop.after({}, [](Instant) { EXPECT_EQ(std::raise(SIGUSR1), 0); });
  loop.run();
  EXPECT_EQ(got, 2);
  const pthread_t waiting = ::pthread_self();
  std::jthread other([waiting] { EXPECT_EQ(::pthread_kill(waiting, SIGUSR1), 0); });
  loop.run();
  other.join();
  EXPECT_EQ(got, 3);

  ASSERT_EQ(std::raise(SIGUSR1), 0);  // after it stopped: when it runs again
  EXPECT_EQ(got, 3);
  loop.run();
  EXPECT_EQ(got, 4);
}

// A burst of one signal is at least one call, and keeps no other out.
TEST(SignalWatchTest, loses_no_kind_of_signal_in_a_flood) {
  Loop loop;
  bool has_ended = false;
  const SignalWatch watch(loop, {SIGUSR1, SIGUSR2}, [&](Instant, int signal) {
    if (signal != SIGUSR2) return;
    has_ended = true;
    loop.stop();
  });
  for (int i = 0; i < 100'000; ++i) ASSERT_EQ(std::raise(SIGUSR1), 0);
  ASSERT_EQ(std::raise(SIGUSR2), 0);
  loop.run();
  EXPECT_TRUE(has_ended);
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
