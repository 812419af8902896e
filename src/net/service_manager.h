// Telling systemd how we are (sd_notify(3)); without NOTIFY_SOCKET everything is a no-op.
#pragma once

#include "base/time.h"

#include <optional>
#include <string_view>

namespace culvert::net {

// "READY=1", "STOPPING=1", "STATUS=...", "WATCHDOG=1"; several lines at once are fine.
void notify_service_manager(std::string_view state);

// What a service with Type=notify or notify-reload says in its life, each thing when it is news.
// Owned by a role's app; its loop's thread.
class ServiceState {
 public:
  void ready();  // of a client every time that it reaches a server
  // A reload begins; another one may before it is over. Of one before ready() nothing is said:
  // its end would say that the service has started.
  void reloading();
  void reloaded();
  void stopping();

 private:
  bool is_ready_ = false;
  bool is_reloading_ = false;
  bool is_stopping_ = false;
};

// How often WATCHDOG=1 is due (half of WATCHDOG_USEC); empty: no watchdog.
[[nodiscard]] std::optional<Duration> watchdog_interval();

}  // namespace culvert::net
