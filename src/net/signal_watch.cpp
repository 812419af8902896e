#include "net/signal_watch.h"

#include "base/assert.h"

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdint>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace culvert::net {
namespace {

constexpr int kMaxSignal = 63;  // a bit for each

// What came since the watch looked, one bit for each, as the kernel keeps what is blocked. The
// handler, which runs on any thread, sets them and wakes the watch. (A signalfd would hear only
// what is blocked in every thread, and threads are there before it.)
std::atomic<std::uint64_t> pending_signals = 0;
std::atomic<int> wake_fd = -1;
static_assert(std::atomic<std::uint64_t>::is_always_lock_free &&
              std::atomic<int>::is_always_lock_free);

void note_signal(int signal) {
  const int saved = errno;
  pending_signals |= std::uint64_t{1} << signal;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd, &one, sizeof one);
  errno = saved;
}

}  // namespace

bool is_ignored(int signal) {
  struct sigaction action{};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

SignalWatch::SignalWatch(Loop& loop, const std::vector<int>& signals, Task task)
    : loop_(loop), task_(std::move(task)) {
  fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  CULVERT_ASSERT(fd_ >= 0);
  const int other = wake_fd.exchange(fd_);
  CULVERT_ASSERT(other == -1);
  pending_signals = 0;
  const auto watch = loop_.watch(fd_, EPOLLIN, *this);
  CULVERT_ASSERT(watch);
  watch_ = *watch;
  struct sigaction action{};
  action.sa_handler = &note_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : signals) {
    CULVERT_ASSERT(signal <= kMaxSignal);
    struct sigaction before{};
    ::sigaction(signal, &action, &before);
    before_.emplace_back(signal, before);
  }
}

SignalWatch::~SignalWatch() {
  for (const auto& [signal, before] : before_) ::sigaction(signal, &before, nullptr);
  wake_fd = -1;
  loop_.unwatch(watch_, fd_);
  ::close(fd_);
}

void SignalWatch::run(Instant now) {
  std::uint64_t signals = pending_signals.exchange(0);
  const Task task = task_;  // it may put another watch in the place of this one
  for (; signals != 0; signals &= signals - 1) task(now, std::countr_zero(signals));
}

}  // namespace culvert::net
