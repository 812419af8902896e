// What this program is made of: `culvert --version`, with --json for machines.
#pragma once

#include "base/result.h"

#include <span>
#include <string_view>

namespace culvert::cli {

// Prints it. `args` is what follows --version. The first line of the text is "culvert 0.1.0".
[[nodiscard]] Status cmd_version(std::span<const std::string_view> args);

}  // namespace culvert::cli
