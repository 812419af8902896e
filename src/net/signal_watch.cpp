#include "net/signal_watch.h"

#include "base/assert.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace culvert::net {
namespace {

// Where the handler, which runs on any thread, says what came.
std::atomic<int> signal_pipe = -1;
static_assert(std::atomic<int>::is_always_lock_free);

void note_signal(int signal) {
  const int saved = errno;
  const auto byte = static_cast<std::uint8_t>(signal);
  // A full pipe has the signal in it already, many times.
  [[maybe_unused]] const auto written = ::write(signal_pipe, &byte, 1);
  errno = saved;
}

}  // namespace

bool is_ignored(int signal) {
  struct sigaction action{};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

SignalWatch::SignalWatch(Loop& loop, const std::vector<int>& signals, Task task)
    : loop_(loop), task_(std::move(task)) {
  std::array<int, 2> ends{};
  const int made = ::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC);
  CULVERT_ASSERT(made == 0);
  read_end_ = ends[0];
  write_end_ = ends[1];
  const int other = signal_pipe.exchange(write_end_);
  CULVERT_ASSERT(other == -1);
  const auto watch = loop_.watch(read_end_, EPOLLIN, *this);
  CULVERT_ASSERT(watch);
  watch_ = *watch;
  struct sigaction action{};
  action.sa_handler = &note_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : signals) {
    struct sigaction before{};
    ::sigaction(signal, &action, &before);
    before_.emplace_back(signal, before);
  }
}

SignalWatch::~SignalWatch() {
  for (const auto& [signal, before] : before_) ::sigaction(signal, &before, nullptr);
  signal_pipe = -1;
  loop_.unwatch(watch_, read_end_);
  ::close(read_end_);
  ::close(write_end_);
}

void SignalWatch::run(Instant now) {
  std::array<std::uint8_t, 64> signals;
  const auto count = ::read(read_end_, signals.data(), signals.size());
  if (count == static_cast<ssize_t>(signals.size())) loop_.make_ready(*this);
  const Task task = task_;  // it may put another watch in the place of this one
  for (ssize_t i = 0; i < count; ++i) task(now, signals[static_cast<std::size_t>(i)]);
}

}  // namespace culvert::net
