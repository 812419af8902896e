#include "base/printable.h"
#include "cli/commands.h"
#include "cli/control_access.h"
#include "cli/output.h"
#include "settings/help.h"

#include <nlohmann/json.hpp>

#include <set>

namespace culvert::cli {
namespace {

// What the scripts ask for: one name a line. A key that was pressed is no time for errors.
void print_names(std::string_view kind) {
  const auto found = admin::find_instances(control_directory());
  if (!found) return;
  std::set<std::string> names;
  for (const admin::Instance& instance : *found) {
    if (kind == settings::kCompletedInstances) {
      names.insert(instance.name);
      continue;
    }
    const auto body = admin::ask(instance.socket, "GET", "/v1/tunnels");
    const auto json = nlohmann::json::parse(body.value_or(""), nullptr, false);
    const auto tunnels = json.is_object() ? json.find("tunnels") : json.end();
    if (tunnels == json.end() || !tunnels->is_array()) continue;
    for (const nlohmann::json& tunnel : *tunnels) {
      const auto label = tunnel.is_object() ? tunnel.find("label") : tunnel.end();
      if (label != tunnel.end() && label->is_string()) names.insert(label->get<std::string>());
    }
  }
  for (const std::string& name : names) {
    if (is_printable(name)) print_line(name);
  }
}

}  // namespace

Status cmd_completion(const settings::Arguments& arguments) {
  if (arguments.operands.size() != 1) {
    return fail(ErrorKind::configuration, "for which shell? bash, zsh or fish");
  }
  const std::string& what = arguments.operands[0];
  if (what == settings::kCompletedInstances || what == settings::kCompletedTunnels) {
    print_names(what);
    return {};
  }
  const auto shell = settings::shell_of(arguments.operands[0]);
  if (!shell) {
    return fail(ErrorKind::configuration, "no such shell: bash, zsh and fish are known",
                arguments.operands[0]);
  }
  print_line(settings::completion(*shell));
  return {};
}

}  // namespace culvert::cli
