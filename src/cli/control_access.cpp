#include "cli/control_access.h"

#include "cli/load_settings.h"
#include "net/unix_client.h"

#include <fmt/format.h>

#include <utility>

namespace culvert::cli {

using admin::Instance;
using settings::Id;

std::string control_directory() {
  return admin::socket_directory(&environment, net::user_id());
}

Result<std::vector<Instance>> instances(const settings::Settings& settings) {
  if (settings.has(Id::control_socket)) {
    const std::string path = expand_home(settings.text(Id::control_socket));
    return std::vector{Instance{.name = path.substr(path.rfind('/') + 1), .socket = path}};
  }
  const std::string directory = control_directory();
  CULVERT_TRY(std::vector<Instance> found, admin::find_instances(directory));
  if (settings.has(Id::instance)) {
    const std::string wanted = settings.text(Id::instance);
    std::erase_if(
        found, [&wanted](const Instance& instance) { return !admin::is_called(instance, wanted); });
    if (found.empty()) {
      return fail(ErrorKind::unreachable, "no such instance runs; culvert status lists all",
                  wanted);
    }
  }
  if (found.empty()) {
    return fail(ErrorKind::unreachable,
                "no culvert of this user runs here; one with --control-socket needs it here too",
                directory);
  }
  return found;
}

Result<Instance> one_instance(const settings::Settings& settings, std::string_view prefix) {
  CULVERT_TRY(std::vector<Instance> found, instances(settings));
  if (!settings.has(Id::control_socket)) {
    std::erase_if(found, [prefix](const Instance& i) { return !i.name.starts_with(prefix); });
  }
  if (found.empty()) {
    return fail(ErrorKind::unreachable, "no client runs; tunnels are a client's", "instance");
  }
  if (found.size() == 1) return std::move(found.front());
  std::string names;
  for (const Instance& instance : found) names += " " + instance.name;
  return fail(ErrorKind::configuration, "several run; say which:" + names, "--instance");
}

}  // namespace culvert::cli
