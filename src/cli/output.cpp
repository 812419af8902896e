#include "cli/output.h"

#include "base/printable.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
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
void print_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}
void print_note(std::string_view line) {
  write_line(stderr, line);
}
void print_error(const Error& error) {
  // It may repeat a peer's words; its own lines stay.
  const std::string text = error.text();
  std::string shown;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    shown += (at == 0 ? "Error: " : "\n") + printable(std::string_view(text).substr(at, end - at));
    at = end + 1;
  }
  print_note(shown);
}

}  // namespace culvert::cli
