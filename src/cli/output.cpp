#include "cli/output.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>

namespace culvert::cli {
namespace {

void write_line(std::FILE* stream, std::string_view line) {
  const std::string text = std::string(line) + '\n';
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

}  // namespace

void print_json(std::initializer_list<std::pair<std::string_view, JsonValue>> members) {
  nlohmann::ordered_json object;
  for (const auto& [name, value] : members) {
    std::visit([&](const auto& v) { object[std::string(name)] = v; }, value);
  }
  // Text from outside may not be UTF-8: replace rather than throw.
  print_line(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

void print_line(std::string_view line) {
  write_line(stdout, line);
}
void print_note(std::string_view line) {
  write_line(stderr, line);
}
void print_error(const Error& error) {
  print_note(fmt::format("Error: {}", error.text()));
}

}  // namespace culvert::cli
