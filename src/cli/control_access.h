// How commands reach a running instance.
#pragma once

#include "admin/instances.h"
#include "base/result.h"
#include "settings/resolver.h"

#include <string>
#include <vector>

namespace culvert::cli {

// Where this user's instances have their sockets.
[[nodiscard]] std::string control_directory();

// All that run, or the ones that --instance and --control-socket name. An error of kind
// unreachable (exit code 10) when there are none.
[[nodiscard]] Result<std::vector<admin::Instance>> instances(const settings::Settings& settings);
// Those of them whose name begins so: "client-", "server-", or all; it must be one.
[[nodiscard]] Result<admin::Instance> one_instance(const settings::Settings& settings,
                                                   std::string_view prefix);

}  // namespace culvert::cli
