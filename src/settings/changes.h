// What a reload of the configuration cannot apply.
#pragma once

#include "settings/resolver.h"

#include <string>
#include <vector>

namespace culvert::settings {

// The settings of a role that differ between the two and need a restart, as their users wrote
// them: "server.toml:4: iroh.listen", or the key of one that is gone.
[[nodiscard]] std::vector<std::string> needs_restart(Command command, const Settings& before,
                                                     const Settings& after);

}  // namespace culvert::settings
