// What both roles do about their configuration while they run.
#pragma once

#include "app/options.h"
#include "base/log.h"
#include "net/kernel_host.h"

#include <functional>
#include <string>
#include <vector>

namespace culvert::app {

// Calls `reload` on the host's loop when one of `files` changes; none: does nothing. What cannot
// be watched is a warning.
void watch_config(net::KernelHost& host, Logger& log, const std::vector<std::string>& files,
                  std::function<void(Instant)> reload);

void log_unchanged(Logger& log, const Error& error);
void warn_of_restart(Logger& log, const ReloadNotes& notes);

}  // namespace culvert::app
