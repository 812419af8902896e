// Configuration files as the neutral tree that settings/ reads.
#pragma once

#include "base/result.h"
#include "settings/node.h"

#include <optional>
#include <string>
#include <string_view>

namespace culvert::cli {

// `name` is for errors, which hold the line.
[[nodiscard]] Result<settings::Node> parse_toml(std::string_view text, const std::string& name);
[[nodiscard]] Result<settings::Node> parse_json(std::string_view text, const std::string& name);

// Whether `text` holds one complete JSON object: where braces balance outside of strings.
// Says nothing about the rest of its syntax.
[[nodiscard]] bool is_complete_object(std::string_view text);

}  // namespace culvert::cli
