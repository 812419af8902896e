// Texts made from the table: --help, docs/settings.md, completion scripts.
#pragma once

#include "settings/table.h"

#include <optional>
#include <string>
#include <string_view>

namespace culvert::settings {

// All commands, for `culvert --help`.
[[nodiscard]] std::string overview();
// Those that begin with this word, such as "key"; empty: none does.
[[nodiscard]] std::string group_overview(std::string_view word);
// One command and its options.
[[nodiscard]] std::string help(Command command);
// docs/settings.md, whole.
[[nodiscard]] std::string markdown();

enum class Shell : std::uint8_t { bash, zsh, fish };
[[nodiscard]] std::optional<Shell> shell_of(std::string_view name);
// What a script asks the program for when a name of a running instance or tunnel is due:
// "culvert completion instances".
inline constexpr std::string_view kCompletedInstances = "instances";
inline constexpr std::string_view kCompletedTunnels = "tunnels";
[[nodiscard]] std::string completion(Shell shell);

}  // namespace culvert::settings
