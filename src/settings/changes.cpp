#include "settings/changes.h"

#include <algorithm>

namespace culvert::settings {
namespace {

std::string name_of(const Setting& setting, const Settings& after) {
  if (after.has(setting.id)) return after.value(setting.id).origin;
  return setting.key.empty() ? std::string(setting.flag) : key_of(setting);
}

}  // namespace

std::vector<std::string> needs_restart(Command command, const Settings& before,
                                       const Settings& after) {
  std::vector<std::string> names;
  for (const Setting& setting : table()) {
    if ((setting.commands & bit(command)) == 0 || (setting.live & bit(command)) != 0) continue;
    const bool is_same = std::ranges::equal(before.values(setting.id), after.values(setting.id), {},
                                            &Value::text, &Value::text);
    if (!is_same) names.push_back(name_of(setting, after));
  }
  return names;
}

}  // namespace culvert::settings
