// The whole program but `main`: finds the command, reads its settings, runs it.
#pragma once

#include "cli/exit_code.h"

#include <span>
#include <string_view>

namespace culvert::cli {

// `args` without the program's name.
[[nodiscard]] ExitCode run(std::span<const std::string_view> args);

}  // namespace culvert::cli
