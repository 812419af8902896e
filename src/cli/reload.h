// Whether and what a running role reads again (SIGHUP, --watch-config).
#pragma once

#include "app/options.h"
#include "base/result.h"
#include "settings/resolver.h"

#include <string>
#include <vector>

namespace culvert::cli {

// Not what came from standard input, which is gone.
[[nodiscard]] bool can_reload(const settings::Settings& settings);

// The configuration file, and the files of tokens and login keys that the settings name.
[[nodiscard]] std::vector<std::string> reloaded_files(settings::Command command,
                                                      const settings::Settings& settings);

// What --watch-config watches at the start: nothing without it.
[[nodiscard]] Result<std::vector<std::string>> watched_files(settings::Command command,
                                                             const settings::Settings& settings);

// `before`: of the start.
[[nodiscard]] app::ReloadNotes reload_notes(settings::Command command,
                                            const settings::Settings& before,
                                            const settings::Settings& after);

}  // namespace culvert::cli
