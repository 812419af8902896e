// Settings of `culvert client` as options of app::ClientApp.
#pragma once

#include "app/options.h"
#include "base/log.h"
#include "cli/load_settings.h"
#include "settings/resolver.h"

namespace culvert::cli {

// Reads the files that settings name. Errors name the setting at fault.
[[nodiscard]] Result<app::ClientOptions> client_options(const settings::Settings& settings,
                                                        Logger& log,
                                                        Occasion occasion = Occasion::start);

}  // namespace culvert::cli
