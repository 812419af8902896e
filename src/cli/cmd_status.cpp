#include "app/system.h"
#include "cli/commands.h"
#include "cli/control_access.h"
#include "cli/load_settings.h"
#include "cli/output.h"
#include "cli/status_text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <string_view>

namespace culvert::cli {
namespace {

using control::Instance;
using settings::Id;

constexpr Duration kRefresh = std::chrono::seconds(1);
// Home, what follows, and at the end erase the rest: without a blank moment in between.
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kClear = "\x1b[2J\x1b[H";
constexpr std::string_view kEraseBelow = "\x1b[J";

Result<StatusBodies> ask_all(const Instance& instance) {
  StatusBodies bodies{.name = instance.name};
  CULVERT_TRY(bodies.status, control::ask(instance.socket, "GET", "/v1/status"));
  CULVERT_TRY(bodies.paths, control::ask(instance.socket, "GET", "/v1/paths"));
  CULVERT_TRY(bodies.sessions, control::ask(instance.socket, "GET", "/v1/sessions"));
  CULVERT_TRY(bodies.tunnels, control::ask(instance.socket, "GET", "/v1/tunnels"));
  return bodies;
}

// One object a line for each instance: status with its lists inside.
std::string json_line(const StatusBodies& bodies) {
  using Json = nlohmann::ordered_json;
  Json line;
  line["instance"] = bodies.name;
  for (const std::string* body :
       {&bodies.status, &bodies.paths, &bodies.sessions, &bodies.tunnels}) {
    const Json part = Json::parse(*body, nullptr, false);
    if (part.is_object()) line.update(part);
  }
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// An instance that ends while we look is left out; when all did, that is the answer.
Result<std::string> draw(const settings::Settings& settings, StatusStyle style) {
  CULVERT_TRY(const std::vector<Instance> found, instances(settings));
  std::string text;
  Status last;
  for (const Instance& instance : found) {
    const auto bodies = ask_all(instance);
    if (!bodies) {
      last = std::unexpected(bodies.error());
      continue;
    }
    if (!text.empty()) text += "\n";
    text += settings.flag(Id::json) ? json_line(*bodies) : status_text(*bodies, style);
  }
  if (text.empty() && !last) return forward(last);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

// Each line erases what an earlier drawing left to its right.
std::string erased_lines(std::string_view text) {
  std::string result;
  for (const char c : text) result += c == '\n' ? std::string("\x1b[K\n") : std::string(1, c);
  return result + "\x1b[K";
}

}  // namespace

Status cmd_status(const settings::Settings& settings) {
  const bool is_terminal = net::is_terminal(kStandardOutput);
  const StatusStyle style{.has_colour = is_terminal && !environment("NO_COLOR")};
  if (!settings.flag(Id::watch)) {
    CULVERT_TRY(const std::string text, draw(settings, style));
    print_line(text);
    return {};
  }
  for (bool is_first = true;; is_first = false) {
    CULVERT_TRY(const std::string text, draw(settings, style));
    const bool is_screen = is_terminal && !settings.flag(Id::json);
    if (is_screen) {
      print_line(fmt::format("{}{}{}", is_first ? kClear : kHome, erased_lines(text), kEraseBelow));
    } else {
      print_line(text);
    }
    if (!net::pause_for(kRefresh)) return {};
  }
}

}  // namespace culvert::cli
