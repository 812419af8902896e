#include "cli/commands.h"
#include "cli/control_access.h"
#include "cli/load_settings.h"
#include "cli/output.h"
#include "cli/screen.h"
#include "cli/status_text.h"
#include "net/terminal.h"
#include "net/unix_client.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace culvert::cli {
namespace {

using admin::Instance;
using settings::Id;

constexpr Duration kRefresh = std::chrono::seconds(1);
constexpr std::string_view kClear = "\x1b[2J";
constexpr int kKeyboard = 0;
// Of a list on a screen that can be scrolled.
constexpr std::size_t kMaxWatchedRows = 1'000;

Result<StatusBodies> ask_all(const Instance& instance) {
  StatusBodies bodies{.name = instance.name};
  CULVERT_TRY(bodies.status, admin::ask(instance.socket, "GET", "/v1/status"));
  CULVERT_TRY(bodies.paths, admin::ask(instance.socket, "GET", "/v1/paths"));
  CULVERT_TRY(bodies.sessions, admin::ask(instance.socket, "GET", "/v1/sessions"));
  CULVERT_TRY(bodies.tunnels, admin::ask(instance.socket, "GET", "/v1/tunnels"));
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

// By instance: what it said when it was last drawn.
using Earlier = std::map<std::string, StatusBodies>;

// An instance that ends while we look is left out; when all did, that is the answer.
Result<std::string> draw(const settings::Settings& settings, StatusStyle style, Earlier& earlier) {
  CULVERT_TRY(const std::vector<Instance> found, instances(settings));
  std::string text;
  Status last;
  Earlier drawn;
  for (const Instance& instance : found) {
    auto bodies = ask_all(instance);
    if (!bodies) {
      last = std::unexpected(bodies.error());
      continue;
    }
    if (!text.empty()) text += "\n";
    const auto before = earlier.find(instance.name);
    text += settings.flag(Id::json)
                ? json_line(*bodies)
                : status_text(*bodies, style, before == earlier.end() ? nullptr : &before->second);
    drawn[instance.name] = std::move(*bodies);
  }
  earlier = std::move(drawn);
  if (text.empty() && !last) return forward(last);
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

ScreenSize screen_size() {
  const auto size = net::terminal_size(kStandardOutput);
  return size ? ScreenSize{.rows = size->rows, .columns = size->columns} : ScreenSize{};
}

// Until somebody interrupts it.
Status watch_lines(const settings::Settings& settings, StatusStyle style) {
  Earlier earlier;
  for (;;) {
    CULVERT_TRY(const std::string text, draw(settings, style, earlier));
    print_line(text);
    if (!net::pause_for(kRefresh)) return {};
  }
}

// What fits on the screen, drawn again every second and when it is scrolled.
Status watch_screen(const settings::Settings& settings, StatusStyle style) {
  const net::KeyInput keys(kKeyboard);
  Earlier earlier;
  Scroll scroll;
  print_text(kClear);
  for (;;) {
    CULVERT_TRY(const std::string text, draw(settings, style, earlier));
    const auto until = std::chrono::steady_clock::now() + kRefresh;
    for (Duration left = kRefresh; left > Duration::zero();
         left = until - std::chrono::steady_clock::now()) {
      print_text(screen_text(text, screen_size(), scroll));
      const auto pressed = keys.wait(left);
      if (!pressed || !scroll.handle_keys(*pressed)) {
        print_line("");  // the shell's prompt below it
        return {};
      }
    }
  }
}

}  // namespace

Status cmd_status(const settings::Settings& settings) {
  const bool is_terminal = net::is_terminal(kStandardOutput);
  StatusStyle style{.has_colour = is_terminal && !environment("NO_COLOR")};
  if (!settings.flag(Id::watch)) {
    Earlier none;
    CULVERT_TRY(const std::string text, draw(settings, style, none));
    print_line(text);
    return {};
  }
  if (!is_terminal || settings.flag(Id::json)) return watch_lines(settings, style);
  style.max_rows = kMaxWatchedRows;
  return watch_screen(settings, style);
}

}  // namespace culvert::cli
