// Results on standard output, for people or as JSON lines, and errors on standard error.
#pragma once

#include "base/result.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace culvert::cli {

inline constexpr int kStandardOutput = 1;  // the descriptor

// One JSON object on one line of standard output.
using JsonValue = std::variant<std::string, std::vector<std::string>>;
void print_json(std::initializer_list<std::pair<std::string_view, JsonValue>> members);

// A line on standard output, and one on standard error; flushed, so that a reader of a
// pipe sees it at once.
void print_line(std::string_view line);
void print_text(std::string_view text);  // on standard output, without an end of line
void print_note(std::string_view line);

// "Error: offender: what", on standard error.
void print_error(const Error& error);

}  // namespace culvert::cli
