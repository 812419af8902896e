// The subcommands: one cmd_NAME.cpp each.
#pragma once

#include "base/result.h"
#include "settings/arguments.h"
#include "settings/resolver.h"

#include <span>
#include <string>

namespace culvert::cli {

[[nodiscard]] Status cmd_server(const settings::Settings& settings,
                                const settings::Arguments& arguments);
[[nodiscard]] Status cmd_client(const settings::Settings& settings,
                                const settings::Arguments& arguments);
[[nodiscard]] Status cmd_key_generate(const settings::Settings& settings);
[[nodiscard]] Status cmd_key_show(const settings::Settings& settings);
[[nodiscard]] Status cmd_token(const settings::Settings& settings);
[[nodiscard]] Status cmd_ticket(const settings::Settings& settings,
                                const settings::Arguments& arguments);
[[nodiscard]] Status cmd_status(const settings::Settings& settings);
// list, add, remove, enable, disable or set.
[[nodiscard]] Status cmd_tunnels(settings::Command command, const settings::Settings& settings,
                                 const settings::Arguments& arguments);
[[nodiscard]] Status cmd_completion(const settings::Arguments& arguments);

// The body of PATCH /v1/tunnels/{name} from KEY=VALUE of `culvert tunnels set`.
[[nodiscard]] Result<std::string> body_of_change(std::span<const std::string> operands);

}  // namespace culvert::cli
