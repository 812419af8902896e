#include "cli/commands.h"
#include "cli/control_access.h"
#include "cli/load_settings.h"
#include "cli/output.h"
#include "cli/status_text.h"
#include "http/message.h"
#include "net/unix_client.h"
#include "settings/suggest.h"
#include "settings/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

namespace culvert::cli {
namespace {

using settings::Command;
using settings::Id;
using Json = nlohmann::ordered_json;

bool has_right_operands(Command command, std::size_t count) {
  if (command == Command::tunnels_list) return count == 0;
  if (command == Command::tunnels_set) return count >= 2;
  return count == (command == Command::tunnels_add ? 2 : 1);
}

Status list(const settings::Settings& settings, const std::string& socket) {
  CULVERT_TRY(std::string body, admin::ask(socket, "GET", "/v1/tunnels"));
  if (!settings.flag(Id::json)) {
    body = tunnels_text(
        body, {.has_colour = net::is_terminal(kStandardOutput) && !environment("NO_COLOR")});
  }
  if (body.ends_with('\n')) body.pop_back();
  print_line(body);
  return {};
}

std::string dumped(const Json& body) {
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string body_of_new(const settings::Settings& settings, const settings::Arguments& arguments) {
  Json body;
  body["source"] = arguments.operands[0];
  body["target"] = arguments.operands[1];
  if (settings.has(Id::tunnel_name)) body["name"] = settings.text(Id::tunnel_name);
  if (settings.has(Id::server_name)) body["server"] = settings.text(Id::server_name);
  return dumped(body);
}

}  // namespace

Result<std::string> body_of_change(std::span<const std::string> operands) {
  Json body = Json::object();
  for (const std::string& operand : operands) {
    const std::size_t equals = operand.find('=');
    const std::string key = operand.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : operand.substr(equals + 1);
    const auto known = std::ranges::find(settings::tunnel_keys(), key, &settings::TunnelKey::name);
    const bool is_known = known != settings::tunnel_keys().end();
    if (equals == std::string::npos || (!is_known && key != "server")) {
      std::vector<std::string_view> names{"server"};
      for (const settings::TunnelKey& one : settings::tunnel_keys()) names.push_back(one.name);
      return fail(ErrorKind::configuration,
                  fmt::format("is not KEY=VALUE with one of the keys {}{}", fmt::join(names, ", "),
                              settings::did_you_mean(key, names)),
                  operand);
    }
    const settings::Type type = is_known ? known->type : settings::Type::text;
    const std::string member = type == settings::Type::duration ? key + "_seconds" : key;
    if (is_known && known->like && value.empty()) {
      body[member] = nullptr;  // as the client's own
    } else if (type == settings::Type::flag) {
      const auto flag = settings::parse_flag(value);
      if (!flag) return fail(ErrorKind::configuration, "needs true or false", operand);
      body[member] = *flag;
    } else if (type == settings::Type::duration) {
      const auto time = settings::parse_duration(value);
      if (!time) return fail(ErrorKind::configuration, time.error().text(), operand);
      body[member] = in_seconds(*time);
    } else {
      body[member] = value;
    }
  }
  return dumped(body);
}

Status cmd_tunnels(Command command, const settings::Settings& settings,
                   const settings::Arguments& arguments) {
  if (!has_right_operands(command, arguments.operands.size())) {
    const settings::CommandInfo& info = settings::info(command);
    return fail(ErrorKind::configuration,
                fmt::format("usage: culvert {} {}", info.name, info.operand),
                arguments.operands.empty() ? std::string(info.name) : arguments.operands.back());
  }
  CULVERT_TRY(const admin::Instance instance, one_instance(settings, "client-"));
  if (command == Command::tunnels_list) return list(settings, instance.socket);
  const auto ask = [&instance](std::string_view method, const std::string& path,
                               std::string_view body) -> Status {
    auto answer = admin::ask(instance.socket, method, path, body);
    if (!answer) return forward(answer);
    return {};
  };
  if (command == Command::tunnels_add) {
    return ask("POST", "/v1/tunnels", body_of_new(settings, arguments));
  }
  const std::string path = "/v1/tunnels/" + http::percent_encoded(arguments.operands[0]);
  if (command == Command::tunnels_remove) return ask("DELETE", path, "");
  if (command == Command::tunnels_set) {
    CULVERT_TRY(const std::string body, body_of_change(std::span(arguments.operands).subspan(1)));
    return ask("PATCH", path, body);
  }
  return ask("POST", path + (command == Command::tunnels_enable ? "/enable" : "/disable"), "");
}

}  // namespace culvert::cli
