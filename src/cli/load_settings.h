// The settings of one command from its arguments, the environment and the file they name.
#pragma once

#include "base/result.h"
#include "settings/resolver.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace culvert::cli {

// What files are read for. At the start a pipe may stand for one; a reload reads regular files
// only, because a pipe is empty by then, or never ends.
enum class Occasion : std::uint8_t { start, reload };

[[nodiscard]] Result<settings::Settings> load_settings(settings::Command command,
                                                       const settings::Arguments& arguments,
                                                       Occasion occasion = Occasion::start);

// The file that holds the configuration; nothing when none was named, or standard input.
[[nodiscard]] std::optional<std::string> config_path(settings::Command command,
                                                     const settings::Settings& settings);

// A variable of this process's environment; an empty one counts as unset.
[[nodiscard]] std::optional<std::string> environment(std::string_view name);

// "~/x" as a path of this user, "credential:x" as what systemd's LoadCredential=x: put in
// $CREDENTIALS_DIRECTORY; other texts as they are.
[[nodiscard]] std::string expand_home(const std::string& path);

// Whether the file is of systemd's, which keeps it from others by more than its mode.
[[nodiscard]] bool is_credential(const std::string& path);

// Of a setting that names a file of at most `max_bytes`; "-" is standard input.
[[nodiscard]] Result<std::string> read_named_file(const settings::Value& value,
                                                  std::size_t max_bytes,
                                                  Occasion occasion = Occasion::start);

}  // namespace culvert::cli
