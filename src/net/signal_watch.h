// Signals of the process as calls on one loop. At most one at a time in a process; threads may be
// started before it.
#pragma once

#include "base/time.h"
#include "net/loop.h"

#include <csignal>
#include <functional>
#include <utility>
#include <vector>

namespace culvert::net {

// Whoever started this process wants it so; nohup does with SIGHUP.
[[nodiscard]] bool is_ignored(int signal);

class SignalWatch final : FdWatcher, Runnable {
 public:
  using Task = std::function<void(Instant now, int signal)>;
  SignalWatch(Loop& loop, const std::vector<int>& signals, Task task);
  // The signals mean again what they meant before.
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  void on_fd_events(std::uint32_t) override { loop_.make_ready(*this); }
  void run(Instant now) override;

  Loop& loop_;
  Task task_;
  std::vector<std::pair<int, struct sigaction>> before_;
  int fd_ = -1;  // readable when one has come; an edge is enough, so nobody reads it
  WatchId watch_;
};

}  // namespace culvert::net
