#include "buffers/session_budget.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <memory>

namespace culvert::buffers {
namespace {

constexpr std::size_t kMebibyte = std::size_t{1} << 20;

TEST(SessionBudget, commits_up_to_three_quarters_and_takes_back) {
  SessionBudget budget(64 * kMebibyte);
  EXPECT_TRUE(budget.commit(48 * kMebibyte));
  EXPECT_FALSE(budget.commit(1));
  budget.release(kMebibyte);
  EXPECT_TRUE(budget.commit(kMebibyte));
  budget.release(48 * kMebibyte);
  EXPECT_EQ(budget.committed_bytes(), 0U);
}

TEST(SessionBudget, leaves_something_however_many_windows_grow) {
  SessionBudget budget(64 * kMebibyte);
  std::size_t windows = 0;
  for (; windows < 10'000; ++windows) {
    if (!budget.grow(16'384, 200'000, 0)) break;
  }
  EXPECT_GT(windows, 50U);
  EXPECT_LE(budget.grown_bytes(), 19 * kMebibyte - 400'000);
  EXPECT_FALSE(budget.is_overgrown());
  budget.grow_anyway(10 * kMebibyte);
  EXPECT_TRUE(budget.is_overgrown());
}

TEST(SessionBudget, keeps_a_part_for_each_who_has_read_twice_as_much_as_others) {
  SessionBudget budget(64 * kMebibyte);
  for (std::uint64_t read = 0; read <= 32 * kMebibyte; read = std::max(2 * read, kMebibyte / 16)) {
    EXPECT_TRUE(budget.grow(128 * 1024, 128 * 1024, read)) << read;
    while (budget.grow(16 * 1024, 16 * 1024, read)) {
    }
  }
  EXPECT_LE(budget.grown_bytes(), 28 * kMebibyte);
  EXPECT_FALSE(budget.grow(16 * 1024, 16 * 1024, 1'000 * kMebibyte));
}

TEST(SessionBudget, lets_windows_grow_into_what_is_not_set_aside) {
  SessionBudget budget(64 * kMebibyte);
  budget.set_aside(45 * kMebibyte);
  EXPECT_FALSE(budget.grow(kMebibyte, kMebibyte, 0));
  EXPECT_TRUE(budget.grow(16 * 1024, 16 * 1024, 0));
  budget.set_aside(kMebibyte);
  EXPECT_TRUE(budget.is_overgrown());
  EXPECT_FALSE(budget.grow(16 * 1024, 1, 0));
  budget.take_back(46 * kMebibyte);
  EXPECT_TRUE(budget.grow(kMebibyte, kMebibyte, 0));
}

TEST(SessionBudget, gives_one_stream_a_large_window) {
  SessionBudget budget(64 * kMebibyte);
  std::size_t window = limits::kStreamWindowFirst;
  std::uint64_t read = 0;
  for (; budget.grow(window, window, read); window *= 2) read += window;
  EXPECT_GE(window, limits::kStreamWindowMax);
}

TEST(SessionBudget, takes_no_further_flow_where_what_may_wait_leaves_little) {
  SessionBudget budget(64 * kMebibyte);
  EXPECT_TRUE(budget.takes_flows());
  budget.grow_anyway(20 * kMebibyte);
  budget.add_unread(26 * kMebibyte);
  EXPECT_TRUE(budget.takes_flows());
  budget.add_unread(1);
  EXPECT_FALSE(budget.takes_flows());
  budget.remove_unread(1);
  EXPECT_TRUE(budget.takes_flows());
}

TEST(SessionBudget, takes_flows_of_who_has_little_waiting_where_others_have_taken_the_process) {
  const auto process = std::make_shared<ProcessBudget>(32 * kMebibyte);
  SessionBudget other(64 * kMebibyte, process);
  SessionBudget budget(64 * kMebibyte, process);
  budget.add_unread(kMebibyte / 8);
  EXPECT_TRUE(budget.takes_flows());
  other.commit_anyway(32 * kMebibyte);
  EXPECT_TRUE(budget.takes_flows());
  budget.add_unread(kMebibyte);
  EXPECT_FALSE(budget.takes_flows());
  other.release(32 * kMebibyte);
  EXPECT_TRUE(budget.takes_flows());
}

// --- the library ---------------------------------------------------------------------------------

TEST(SessionBudget, lets_a_library_have_what_nobody_uses) {
  const auto process = std::make_shared<ProcessBudget>(64 * kMebibyte);
  SessionBudget budget(64 * kMebibyte, process);
  std::size_t counted = 0;
  EXPECT_TRUE(budget.count_library(counted, 16 * kMebibyte));
  EXPECT_LE(process->free_bytes(),
            static_cast<std::int64_t>(48 * kMebibyte + limits::kSessionBufferShare));
  EXPECT_TRUE(budget.commit(kMebibyte));
  EXPECT_TRUE(budget.count_library(counted, 0));
  budget.release(kMebibyte);
  EXPECT_EQ(budget.library_bytes(), 0U);
}

TEST(SessionBudget, lets_a_library_have_little_where_much_waits) {
  SessionBudget budget(64 * kMebibyte);
  budget.commit_anyway(48 * kMebibyte);
  budget.hold(16 * kMebibyte);
  std::size_t counted = 0;
  EXPECT_TRUE(budget.count_library(counted, limits::kLibraryBytesOwn)) << "its own";
  EXPECT_TRUE(budget.count_library(counted, 8 * kMebibyte)) << "notes of what is sent";
  budget.let_go(16 * kMebibyte);
  EXPECT_TRUE(budget.count_library(counted, 16 * kMebibyte));
  EXPECT_FALSE(budget.count_library(counted, 17 * kMebibyte));
  EXPECT_TRUE(budget.count_library(counted, 16 * kMebibyte)) << "it becomes less";
}

TEST(SessionBudget, what_a_library_has_is_not_there_to_be_sent) {
  SessionBudget budget(64 * kMebibyte);
  std::size_t counted = 0;
  EXPECT_TRUE(budget.count_library(counted, 15 * kMebibyte));
  EXPECT_LE(budget.send_share(), 2 * kMebibyte);
}

TEST(SessionBudget, libraries_of_many_sessions_leave_each_other_something_of_the_process) {
  const auto process = std::make_shared<ProcessBudget>(64 * kMebibyte);
  struct Session {
    std::unique_ptr<SessionBudget> budget;
    std::size_t counted = 0;
  };
  std::deque<Session> sessions(100);
  for (Session& session : sessions) {
    session.budget = std::make_unique<SessionBudget>(64 * kMebibyte, process);
    std::size_t bytes = 0;
    while (session.budget->count_library(session.counted, bytes)) bytes += 64 * 1024;
    EXPECT_GE(bytes, limits::kLibraryBytesOwn);
    EXPECT_TRUE(session.budget->count_library(session.counted, bytes - 64 * 1024));
  }
  EXPECT_GE(process->free_bytes(), -static_cast<std::int64_t>(100 * limits::kLibraryBytesOwn));
}

TEST(SessionBudget, send_shares_shrink_as_more_waits_and_never_to_nothing) {
  SessionBudget budget(64 * kMebibyte);
  EXPECT_GE(budget.send_share(), 16 * kMebibyte);
  for (int i = 0; i < 4; ++i) budget.hold(4 * kMebibyte - 4096);
  EXPECT_LE(budget.send_share(), 64 * 1024U);
  EXPECT_GE(budget.send_share(), 16 * 1024U);
  budget.hold(kMebibyte);
  EXPECT_EQ(budget.send_share(), 2 * 1024U);
  budget.let_go(17 * kMebibyte - 4 * 4096);
  EXPECT_EQ(budget.held_bytes(), 0U);
}

TEST(SessionBudget, sessions_leave_each_other_something_of_the_process) {
  const auto process = std::make_shared<ProcessBudget>(256 * kMebibyte);
  std::vector<std::unique_ptr<SessionBudget>> sessions;
  for (int i = 0; i < 100; ++i) {
    sessions.push_back(std::make_unique<SessionBudget>(64 * kMebibyte, process));
    std::size_t got = 0;
    while (sessions.back()->commit(64 * 1024)) got += 64 * 1024;
    EXPECT_GE(got, limits::kSessionBufferShare) << "session " << i;
    EXPECT_GT(process->free_bytes(), 0);
  }
  sessions.clear();
  EXPECT_EQ(process->free_bytes(), static_cast<std::int64_t>(256 * kMebibyte));
}

TEST(SessionBudget, what_is_here_already_counts_even_where_nothing_is_left) {
  const auto process = std::make_shared<ProcessBudget>(kMebibyte);
  SessionBudget budget(64 * kMebibyte, process);
  budget.commit_anyway(8 * kMebibyte);
  EXPECT_LT(process->free_bytes(), 0);
  EXPECT_FALSE(budget.commit(64 * 1024));
  EXPECT_EQ(budget.send_share(), 2 * 1024U);
  budget.release(8 * kMebibyte);
  EXPECT_GE(process->free_bytes(), static_cast<std::int64_t>(kMebibyte / 2));
}

}  // namespace
}  // namespace culvert::buffers
