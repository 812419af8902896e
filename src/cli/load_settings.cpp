#include "cli/load_settings.h"

#include "base/limits.h"
#include "cli/config_file.h"
#include "net/files.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

namespace culvert::cli {
namespace {

using settings::Command;
using settings::Id;

constexpr int kStandardInput = 0;
constexpr std::string_view kCredential = "credential:";

std::string default_config_path(Command command) {
  const std::string file = command == Command::server ? "server.toml" : "client.toml";
  const auto base = environment("XDG_CONFIG_HOME");
  if (base && !base->empty()) return fmt::format("{}/culvert/{}", *base, file);
  return expand_home(fmt::format("~/.config/culvert/{}", file));
}

// A flag beats CULVERT_CONFIG; two flags contradict each other.
bool names_file(const settings::Settings& settings) {
  return settings.has(Id::config) &&
         (settings.level(Id::config) == settings::Level::flag ||
          (!settings.flag(Id::default_config) && !settings.flag(Id::config_stdin)));
}

struct ConfigFile {
  settings::Node node;
  std::string name;
  bool may_hold_secrets = false;
};

Result<std::string> read_whole(const std::string& path, std::size_t max_bytes, Occasion occasion) {
  if (occasion == Occasion::reload) return net::read_file(path, max_bytes);
  return net::read_input(path, max_bytes, limits::kInputTimeout);
}

// With the '/' at its end. Absolute, because a relative socket would be no name to others.
std::string directory_of(const std::string& path) {
  std::error_code ignored;
  const std::string whole = std::filesystem::absolute(path, ignored).string();
  return whole.substr(0, whole.rfind('/') + 1);
}

// At most one of the three ways to name it.
Result<std::optional<ConfigFile>> read_config(Command command, const settings::Settings& early,
                                              Occasion occasion) {
  const bool has_default = early.flag(Id::default_config);
  const bool has_stdin = early.flag(Id::config_stdin);
  const bool has_file = names_file(early);
  if (has_file + has_default + has_stdin > 1) {
    return fail(ErrorKind::configuration, "only one of --config, --default-config, --config-stdin",
                has_file ? "--config" : "--default-config");
  }
  ConfigFile file;
  if (has_stdin) {
    file.name = "standard input";
    file.may_hold_secrets = true;
    CULVERT_TRY(const std::string text,
                net::read_until(kStandardInput, limits::kMaxConfigBytes, file.name,
                                limits::kInputTimeout, is_complete_object));
    CULVERT_TRY(file.node, parse_json(text, file.name));
    return file;
  }
  const auto path = config_path(command, early);
  if (!path) return std::nullopt;
  file.name = *path;
  CULVERT_TRY(const std::string text, read_whole(file.name, limits::kMaxConfigBytes, occasion));
  CULVERT_TRY(file.node, parse_toml(text, file.name));
  return file;
}

}  // namespace

std::optional<std::string> config_path(Command command, const settings::Settings& settings) {
  if (names_file(settings)) return expand_home(settings.text(Id::config));
  if (settings.flag(Id::default_config)) return default_config_path(command);
  return std::nullopt;
}

std::optional<std::string> environment(std::string_view name) {
  // Read before any thread starts.
  const char* value = std::getenv(std::string(name).c_str());  // NOLINT(concurrency-mt-unsafe)
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

bool is_credential(const std::string& path) {
  return path.starts_with(kCredential);
}

std::string expand_home(const std::string& path) {
  if (is_credential(path)) {
    const auto directory = environment("CREDENTIALS_DIRECTORY");
    return directory ? *directory + "/" + path.substr(kCredential.size()) : path;
  }
  const auto home = environment("HOME");
  if (!path.starts_with("~/") || !home) return path;
  return *home + path.substr(1);
}

Result<std::string> read_named_file(const settings::Value& value, std::size_t max_bytes,
                                    Occasion occasion) {
  if (is_credential(value.text) && !environment("CREDENTIALS_DIRECTORY")) {
    return fail(
        ErrorKind::configuration,
        fmt::format("{}: only a systemd service has credentials (LoadCredential=)", value.text),
        value.origin);
  }
  auto text = value.text == "-"
                  ? net::read_until(kStandardInput, max_bytes, "standard input",
                                    limits::kInputTimeout, [](std::string_view) { return false; })
                  : read_whole(expand_home(value.text), max_bytes, occasion);
  if (!text) return std::unexpected(std::move(text).error().in(value.origin));
  return text;
}

Result<settings::Settings> load_settings(Command command, const settings::Arguments& arguments,
                                         Occasion occasion) {
  settings::Inputs inputs{.arguments = &arguments, .environment = environment};
  if ((settings::bit(command) & settings::kRoles) == 0) return settings::resolve(command, inputs);
  if (!arguments.operands.empty()) {
    inputs.mode = value_of<settings::Mode>(arguments.operands.front());
  }
  // Without the pairing of tunnels: a file may complete it. Only the three ways to name a
  // file are read from this.
  settings::Arguments naming;
  for (const settings::Argument& argument : arguments.settings) {
    const Id id = argument.setting->id;
    if (id == Id::config || id == Id::default_config || id == Id::config_stdin) {
      naming.settings.push_back(argument);
    }
  }
  const auto config_variable = [](std::string_view name) {
    return name == settings::setting(Id::config).environment ? environment(name) : std::nullopt;
  };
  CULVERT_TRY(const settings::Settings early,
              settings::resolve(command, {.arguments = &naming, .environment = config_variable}));
  CULVERT_TRY(const std::optional<ConfigFile> file, read_config(command, early, occasion));
  if (file) {
    inputs.file = &file->node;
    inputs.file_name = file->name;
    if (!file->may_hold_secrets) inputs.directory = directory_of(file->name);
    inputs.file_may_hold_secrets = file->may_hold_secrets;
  }
  return settings::resolve(command, inputs);
}

}  // namespace culvert::cli
