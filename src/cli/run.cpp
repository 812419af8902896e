#include "cli/run.h"

#include "admin/counters.h"
#include "cli/commands.h"
#include "cli/load_settings.h"
#include "cli/output.h"
#include "cli/version.h"
#include "settings/help.h"
#include "settings/man.h"
#include "settings/suggest.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

namespace culvert::cli {
namespace {

using settings::Command;

struct Found {
  Command command;
  std::span<const std::string_view> rest;
};

// "server ...", "key generate ...", or tunnel-rs's "generate-server-key ...".
Result<Found> find_command(std::span<const std::string_view> args) {
  for (const settings::CommandInfo& info : settings::commands()) {
    if (args[0] == info.name || (!info.alias.empty() && args[0] == info.alias)) {
      return Found{info.command, args.subspan(1)};
    }
    if (args.size() > 1 && fmt::format("{} {}", args[0], args[1]) == info.name) {
      return Found{info.command, args.subspan(2)};
    }
  }
  std::string longer;
  for (const settings::CommandInfo& info : settings::commands()) {
    if (!info.name.starts_with(fmt::format("{} ", args[0]))) continue;
    longer += fmt::format("{}culvert {}", longer.empty() ? "" : ", ", info.name);
  }
  if (!longer.empty()) {
    return fail(ErrorKind::configuration, "say what to do: " + longer, std::string(args[0]));
  }
  std::vector<std::string_view> names;
  for (const settings::CommandInfo& info : settings::commands()) {
    names.push_back(info.name);
    if (!info.alias.empty()) names.push_back(info.alias);
  }
  return fail(ErrorKind::configuration,
              fmt::format("no such command{}; 'culvert --help' lists all",
                          settings::did_you_mean(args[0], names)),
              std::string(args[0]));
}

// Operands that a command does not know. Roles know the mode.
Status check_operands(Command command, const settings::Arguments& arguments) {
  std::span<const std::string> operands = arguments.operands;
  if (command == Command::ticket || command == Command::completion) return {};
  if ((settings::bit(command) & settings::kTunnels) != 0) return {};  // its own business
  if ((settings::bit(command) & settings::kRoles) != 0 && !operands.empty()) {
    if (value_of<settings::Mode>(operands[0])) {
      const auto mode = settings::parse_mode(operands[0], operands[0]);
      if (!mode) return std::unexpected(mode.error());
      operands = operands.subspan(1);
    }
  }
  if (operands.empty()) return {};
  return fail(
      ErrorKind::configuration,
      fmt::format("culvert {0} takes no such argument; options begin with '-': 'culvert {0} "
                  "--help' lists all",
                  settings::info(command).name),
      operands[0]);
}

Status dispatch(Command command, const settings::Arguments& arguments) {
  CULVERT_CHECK(check_operands(command, arguments));
  CULVERT_TRY(const settings::Settings settings, load_settings(command, arguments));
  switch (command) {
    case Command::server:
      return cmd_server(settings, arguments);
    case Command::client:
      return cmd_client(settings, arguments);
    case Command::key_generate:
      return cmd_key_generate(settings);
    case Command::key_show:
      return cmd_key_show(settings);
    case Command::token_generate:
      return cmd_token(settings);
    case Command::ticket:
      return cmd_ticket(settings, arguments);
    case Command::status:
      return cmd_status(settings);
    case Command::tunnels_list:
    case Command::tunnels_add:
    case Command::tunnels_remove:
    case Command::tunnels_enable:
    case Command::tunnels_disable:
    case Command::tunnels_set:
      return cmd_tunnels(command, settings, arguments);
    case Command::completion:
      return cmd_completion(arguments);
  }
  return {};
}

// "key --help", "help tunnels": of the commands that begin so. Whether it is that.
bool print_group_help(std::string_view word) {
  const std::string text = settings::group_overview(word);
  if (!text.empty()) print_line(text);
  return !text.empty();
}

Status run_command(std::span<const std::string_view> args) {
  const bool asks_for_help =
      args.size() == 2 && (args[1] == "--help" || args[1] == "-h" || args[1] == "help");
  if (asks_for_help && print_group_help(args[0])) return {};
  CULVERT_TRY(const Found found, find_command(args));
  CULVERT_TRY(const settings::Arguments arguments,
              settings::parse_arguments(found.command, found.rest));
  if (arguments.wants_help) {
    print_line(settings::help(found.command));
    return {};
  }
  return dispatch(found.command, arguments);
}

// For packages: the names of the manual pages, or one of them.
Status run_man(std::span<const std::string_view> args) {
  if (args.empty()) {
    for (const std::string& name : settings::man_pages()) print_line(name);
    return {};
  }
  const auto page = settings::man_page(args[0], CULVERT_VERSION);
  if (!page) {
    return fail(ErrorKind::configuration, "no such page; 'culvert help --man' lists them",
                std::string(args[0]));
  }
  print_line(std::string_view(*page).substr(0, page->size() - 1));
  return {};
}

Status run_help(std::span<const std::string_view> args) {
  if (args.empty()) {
    print_line(settings::overview());
    return {};
  }
  if (args[0] == "--markdown") {
    print_line(settings::markdown());
    return {};
  }
  if (args[0] == "--counters") {
    print_line(admin::counters_markdown());
    return {};
  }
  if (args[0] == "--man") return run_man(args.subspan(1));
  if (args.size() == 1 && print_group_help(args[0])) return {};
  CULVERT_TRY(const Found found, find_command(args));
  print_line(settings::help(found.command));
  return {};
}

}  // namespace

ExitCode run(std::span<const std::string_view> args) {
  Status status;
  if (args.empty()) {
    print_note(settings::overview());
    return ExitCode::configuration;
  }
  if (args[0] == "--version" || args[0] == "-V" || args[0] == "version") {
    status = cmd_version(args.subspan(1));
  } else if (args[0] == "--help" || args[0] == "-h" || args[0] == "help") {
    status = run_help(args.subspan(1));
  } else {
    status = run_command(args);
  }
  if (status) return ExitCode::ok;
  if (status.error().kind != ErrorKind::cancelled) print_error(status.error());
  return exit_code(status.error().kind);
}

}  // namespace culvert::cli
