// The settings of one command from its arguments, the environment and the file they name.
#pragma once

#include "base/result.h"
#include "settings/resolver.h"

#include <optional>
#include <string>
#include <string_view>

namespace culvert::cli {

[[nodiscard]] Result<settings::Settings> load_settings(settings::Command command,
                                                       const settings::Arguments& arguments);

// The file that holds the configuration; nothing when none was named, or standard input.
[[nodiscard]] std::optional<std::string> config_path(settings::Command command,
                                                     const settings::Settings& settings);

// A variable of this process's environment; an empty one counts as unset.
[[nodiscard]] std::optional<std::string> environment(std::string_view name);

// "~/x" as a path of this user; other texts as they are.
[[nodiscard]] std::string expand_home(const std::string& path);

// Of a setting that names a file of at most `max_bytes`; "-" is standard input.
[[nodiscard]] Result<std::string> read_named_file(const settings::Value& value,
                                                  std::size_t max_bytes);

}  // namespace culvert::cli
