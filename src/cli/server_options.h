// Settings of `culvert server` as options of app::ServerApp.
#pragma once

#include "app/options.h"
#include "base/log.h"
#include "cli/load_settings.h"
#include "settings/resolver.h"

namespace culvert::cli {

// Reads the files that settings name. Errors name the setting at fault.
[[nodiscard]] Result<app::ServerOptions> server_options(const settings::Settings& settings,
                                                        Logger& log,
                                                        Occasion occasion = Occasion::start);

}  // namespace culvert::cli
