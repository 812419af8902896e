// Telling systemd how we are (sd_notify(3)); without NOTIFY_SOCKET everything is a no-op.
#pragma once

#include "base/time.h"

#include <optional>
#include <string_view>

namespace culvert::net {

// "READY=1", "STOPPING=1", "STATUS=...", "WATCHDOG=1"; several lines at once are fine.
void notify_service_manager(std::string_view state);

// How often WATCHDOG=1 is due (half of WATCHDOG_USEC); empty: no watchdog.
[[nodiscard]] std::optional<Duration> watchdog_interval();

}  // namespace culvert::net
