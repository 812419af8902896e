#include "app/system.h"
#include "cli/commands.h"
#include "cli/control_access.h"
#include "cli/load_settings.h"
#include "cli/output.h"
#include "cli/status_text.h"
#include "control/http.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <string_view>

namespace culvert::cli {
namespace {

using settings::Command;
using settings::Id;

constexpr int kStandardOutput = 1;

std::size_t operands_of(Command command) {
  if (command == Command::tunnels_list) return 0;
  return command == Command::tunnels_add ? 2 : 1;
}

Status list(const settings::Settings& settings, const std::string& socket) {
  CULVERT_TRY(std::string body, control::ask(socket, "GET", "/v1/tunnels"));
  if (!settings.flag(Id::json)) {
    body = tunnels_text(
        body, {.has_colour = net::is_terminal(kStandardOutput) && !environment("NO_COLOR")});
  }
  if (body.ends_with('\n')) body.pop_back();
  print_line(body);
  return {};
}

std::string body_of_new(const settings::Settings& settings, const settings::Arguments& arguments) {
  using Json = nlohmann::ordered_json;
  Json body;
  body["source"] = arguments.operands[0];
  body["target"] = arguments.operands[1];
  if (settings.has(Id::tunnel_name)) body["name"] = settings.text(Id::tunnel_name);
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Status cmd_tunnels(Command command, const settings::Settings& settings,
                   const settings::Arguments& arguments) {
  if (arguments.operands.size() != operands_of(command)) {
    const settings::CommandInfo& info = settings::info(command);
    return fail(ErrorKind::configuration,
                fmt::format("usage: culvert {} {}", info.name, info.operand),
                arguments.operands.empty() ? std::string(info.name) : arguments.operands.back());
  }
  CULVERT_TRY(const control::Instance instance, one_instance(settings, "client-"));
  if (command == Command::tunnels_list) return list(settings, instance.socket);
  const auto ask = [&instance](std::string_view method, const std::string& path,
                               std::string_view body) -> Status {
    auto answer = control::ask(instance.socket, method, path, body);
    if (!answer) return forward(answer);
    return {};
  };
  if (command == Command::tunnels_add) {
    return ask("POST", "/v1/tunnels", body_of_new(settings, arguments));
  }
  const std::string path = "/v1/tunnels/" + control::percent_encoded(arguments.operands[0]);
  if (command == Command::tunnels_remove) return ask("DELETE", path, "");
  return ask("POST", path + (command == Command::tunnels_enable ? "/enable" : "/disable"), "");
}

}  // namespace culvert::cli
