// Splits a command line into settings and operands by the table.
//
//   --name value   --name=value   -n value   -nvalue   -vv   --   (operands only from here)
#pragma once

#include "base/result.h"
#include "settings/table.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::settings {

struct Argument {
  const Setting* setting = nullptr;
  std::string value;   // "true" for flags
  std::string origin;  // as typed: "--listen" or "-n"
};

struct Arguments {
  std::vector<Argument> settings{};
  std::vector<std::string> operands{};
  bool wants_help = false;
};

// `args` without program and command name. Errors name the argument and the nearest known
// one; a secret on the command line is an error that names the safe ways.
[[nodiscard]] Result<Arguments> parse_arguments(Command command,
                                                std::span<const std::string_view> args);

}  // namespace culvert::settings
