#include "quic/session_budget.h"

#include <gtest/gtest.h>

#include <array>

namespace culvert::quic {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(SessionBudget, commits_up_to_three_quarters_and_takes_back) {
  SessionBudget budget(64 * kMiB);
  EXPECT_TRUE(budget.commit(48 * kMiB));
  EXPECT_FALSE(budget.commit(1));
  budget.release(kMiB);
  EXPECT_TRUE(budget.commit(kMiB));
  budget.release(48 * kMiB);
  EXPECT_EQ(budget.committed_bytes(), 0U);
}

TEST(SessionBudget, leaves_something_however_many_windows_grow) {
  SessionBudget budget(64 * kMiB);
  std::size_t windows = 0;
  for (; windows < 10'000; ++windows) {
    if (!budget.grow(16'384, 200'000)) break;
  }
  EXPECT_GT(windows, 50U);
  EXPECT_LE(budget.grown_bytes(), 24 * kMiB - 400'000);
  EXPECT_FALSE(budget.is_overgrown());
  budget.grow_anyway(kMiB);
  EXPECT_TRUE(budget.is_overgrown());
}

TEST(SessionBudget, gives_one_stream_a_large_window) {
  SessionBudget budget(64 * kMiB);
  std::size_t window = limits::kStreamWindowFirst;
  while (budget.grow(window, window)) window *= 2;
  EXPECT_GE(window, limits::kStreamWindowMax);
}

TEST(SessionBudget, send_shares_shrink_as_more_waits_and_never_to_nothing) {
  SessionBudget budget(64 * kMiB);
  EXPECT_GE(budget.send_share(), 16 * kMiB);
  for (int i = 0; i < 4; ++i) budget.hold(4 * kMiB - 4096);
  EXPECT_LE(budget.send_share(), 64 * 1024U);
  EXPECT_GE(budget.send_share(), 16 * 1024U);
  budget.hold(kMiB);
  EXPECT_EQ(budget.send_share(), 2 * 1024U);
  budget.let_go(17 * kMiB - 4 * 4096);
  EXPECT_EQ(budget.held_bytes(), 0U);
}

TEST(SessionBudget, sessions_leave_each_other_something_of_the_process) {
  const auto process = std::make_shared<ProcessBudget>(256 * kMiB);
  std::vector<std::unique_ptr<SessionBudget>> sessions;
  for (int i = 0; i < 100; ++i) {
    sessions.push_back(std::make_unique<SessionBudget>(64 * kMiB, process));
    std::size_t got = 0;
    while (sessions.back()->commit(64 * 1024)) got += 64 * 1024;
    EXPECT_GE(got, limits::kSessionBufferShare) << "session " << i;
    EXPECT_GT(process->free_bytes(), 0);
  }
  sessions.clear();
  EXPECT_EQ(process->free_bytes(), static_cast<std::int64_t>(256 * kMiB));
}

TEST(SessionBudget, what_is_here_already_counts_even_where_nothing_is_left) {
  const auto process = std::make_shared<ProcessBudget>(kMiB);
  SessionBudget budget(64 * kMiB, process);
  budget.commit_anyway(8 * kMiB);
  EXPECT_LT(process->free_bytes(), 0);
  EXPECT_FALSE(budget.commit(64 * 1024));
  EXPECT_EQ(budget.send_share(), 2 * 1024U);
  budget.release(8 * kMiB);
  EXPECT_GE(process->free_bytes(), static_cast<std::int64_t>(kMiB / 2));
}

}  // namespace
}  // namespace culvert::quic
