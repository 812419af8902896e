// Manual pages made from the table: one for the program, one for each command, one for the
// configuration file. docs/ has the long texts.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace culvert::settings {

// "culvert.1", "culvert-server.1", "culvert-key-generate.1", ..., "culvert.toml.5".
[[nodiscard]] std::vector<std::string> man_pages();

// One of them in man(7); nothing for any other name. `version` is the program's.
[[nodiscard]] std::optional<std::string> man_page(std::string_view name, std::string_view version);

}  // namespace culvert::settings
