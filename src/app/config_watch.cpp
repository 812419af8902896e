#include "app/config_watch.h"

#include <fmt/ranges.h>

#include <utility>

namespace culvert::app {

void watch_config(net::KernelHost& host, Logger& log, const std::vector<std::string>& files,
                  std::function<void(Instant)> reload) {
  if (files.empty()) return;
  if (const Status watched = host.watch_files(files, std::move(reload)); !watched) {
    log.warn("config", "{}; SIGHUP still reads the configuration", watched.error().text());
  }
}

void log_unchanged(Logger& log, const Error& error) {
  log.error("config", "nothing was changed: {}", error.text());
}

void warn_of_restart(Logger& log, const ReloadNotes& notes) {
  if (notes.needs_restart.empty()) return;
  log.warn("config", "changed, but not before a restart: {}", fmt::join(notes.needs_restart, "; "));
}

}  // namespace culvert::app
