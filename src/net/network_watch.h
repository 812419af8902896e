// Tells when local addresses or routes change or an interface works again (rtnetlink). Bursts
// become one call. Belongs to one loop. Private to net/.
#pragma once

#include "net/loop.h"
#include "net/network_messages.h"
#include "net/socket_address.h"

#include <functional>
#include <memory>

namespace culvert::net {

class NetworkWatch final : private FdWatcher, private Runnable {
 public:
  // Where netlink is not to be had (some containers) there are simply no calls.
  NetworkWatch(Loop& loop, std::function<void(Instant)> on_changed);
  ~NetworkWatch();

 private:
  void on_fd_events(std::uint32_t events) override;
  void run(Instant now) override;

  Loop& loop_;
  std::function<void(Instant)> on_changed_;
  Fd fd_;
  NetworkMessages messages_;
  WatchId watch_;
  std::unique_ptr<TimerPort> settling_;
};

}  // namespace culvert::net
