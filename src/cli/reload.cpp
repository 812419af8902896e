#include "cli/reload.h"

#include "cli/load_settings.h"
#include "settings/changes.h"

#include <algorithm>
#include <array>

namespace culvert::cli {
namespace {

using settings::Id;
using settings::Settings;

constexpr std::array kCredentialFiles{Id::auth_tokens_file, Id::authorized_keys_file,
                                      Id::auth_token_file, Id::private_key_file};

bool is_standard_input(const Settings& settings, Id id) {
  return settings.has(id) && settings.text(id) == "-";
}

std::vector<std::string> credential_files(const Settings& settings) {
  std::vector<std::string> files;
  const auto add = [&files](const Settings& some) {
    for (const Id id : kCredentialFiles) {
      if (some.has(id)) files.push_back(some.text(id));
    }
  };
  add(settings);
  for (const settings::ServerEntry& server : settings.servers()) add(server.settings);
  return files;
}

}  // namespace

bool can_reload(const Settings& settings) {
  return !settings.flag(Id::config_stdin) && !is_standard_input(settings, Id::secret_file) &&
         std::ranges::none_of(credential_files(settings),
                              [](const std::string& file) { return file == "-"; });
}

std::vector<std::string> reloaded_files(settings::Command command, const Settings& settings) {
  std::vector<std::string> files;
  if (const auto path = config_path(command, settings)) files.push_back(*path);
  for (const std::string& file : credential_files(settings)) files.push_back(expand_home(file));
  return files;
}

Result<std::vector<std::string>> watched_files(settings::Command command,
                                               const Settings& settings) {
  if (!settings.flag(Id::watch_config)) return std::vector<std::string>{};
  std::vector<std::string> files = reloaded_files(command, settings);
  if (files.empty() || !can_reload(settings)) {
    return fail(ErrorKind::configuration,
                "there is no file to watch: it needs --config or --default-config",
                settings.value(Id::watch_config).origin);
  }
  return files;
}

app::ReloadNotes reload_notes(settings::Command command, const Settings& before,
                              const Settings& after) {
  app::ReloadNotes notes{.needs_restart = settings::needs_restart(command, before, after)};
  if (before.flag(Id::watch_config)) notes.files = reloaded_files(command, after);
  return notes;
}

}  // namespace culvert::cli
