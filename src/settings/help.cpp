#include "settings/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

namespace culvert::settings {
namespace {

constexpr std::size_t kWidth = 96;
constexpr std::size_t kOptionWidth = 36;  // column where explanations begin

// Breaks at spaces; every line but the first is indented.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::string result;
  std::size_t column = indent;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    if (column + word.size() > kWidth && column > indent) {
      result += fmt::format("\n{:{}}", "", indent);
      column = indent;
    } else if (column > indent) {
      result += ' ';
    }
    result += word;
    column += word.size() + 1;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

std::string option_text(const Setting& setting) {
  std::string text = setting.letter != 0 ? fmt::format("-{}, ", setting.letter) : "    ";
  text += fmt::format("--{}", setting.flag);
  if (!setting.placeholder.empty()) text += fmt::format(" {}", setting.placeholder);
  return text;
}

std::string explanation(const Setting& setting) {
  std::string text(setting.help);
  if (!setting.fallback.empty()) text += fmt::format(" [{}]", setting.fallback);
  if (setting.is_repeatable) text += " (repeatable)";
  if (setting.is_secret) {
    text = fmt::format("{} (environment or --config-stdin only: {})", setting.help,
                       setting.environment);
  }
  return text;
}

}  // namespace

std::string overview() {
  std::string text =
      "culvert: secure peer-to-peer TCP and UDP tunnels over QUIC\n\n"
      "usage: culvert COMMAND [options]\n\ncommands:\n";
  for (const CommandInfo& command : commands()) {
    text += fmt::format("  {:<16} {}\n", command.name, command.summary);
  }
  text +=
      "\nculvert COMMAND --help explains one; culvert --version names this build.\n"
      "Exit codes: 0 ok, 1 general, 2 configuration, 3 authentication, 10 could not connect, "
      "11 lost.\n";
  return text;
}

std::string group_overview(std::string_view word) {
  std::string lines;
  for (const CommandInfo& command : commands()) {
    const bool is_of_group =
        command.name.starts_with(word) && command.name.substr(word.size()).starts_with(' ');
    if (is_of_group) lines += fmt::format("  {:<16} {}\n", command.name, command.summary);
  }
  if (lines.empty()) return lines;
  return fmt::format(
      "usage: culvert {} COMMAND [options]\n\ncommands:\n{}\n"
      "culvert COMMAND --help explains one.\n",
      word, lines);
}

std::string help(Command command) {
  const CommandInfo& about = info(command);
  std::string text = fmt::format("{}\n\nusage: culvert {}{}{} [options]\n", about.summary,
                                 about.name, about.operand.empty() ? "" : " ", about.operand);
  std::string_view group;
  for (const Setting& setting : table()) {
    if ((setting.commands & bit(command)) == 0) continue;
    if (setting.group != group) text += fmt::format("\n{}:\n", setting.group);
    group = setting.group;
    const std::string option = option_text(setting);
    const std::string separator = option.size() + 3 > kOptionWidth
                                      ? fmt::format("\n{:{}}", "", kOptionWidth)
                                      : std::string(kOptionWidth - 2 - option.size(), ' ');
    text +=
        fmt::format("  {}{}{}\n", option, separator, wrapped(explanation(setting), kOptionWidth));
  }
  if ((bit(command) & kRoles) != 0) {
    text +=
        "\nEvery option has an environment variable and a key for the file: docs/settings.md.\n"
        "Precedence: flag, environment, file, default.\n"
        "SIGHUP reads the configuration file again, and the files of tokens and keys: what is "
        "marked\nlive there changes at once, a mistake changes nothing.\n";
  }
  if (command == Command::client) {
    text +=
        "One client may use several servers: [[servers]] in the file, each with "
        "[[servers.tunnels]].\n";
  }
  return text;
}

std::string markdown() {
  std::string text =
      "# Settings\n\n"
      "Made from the table in `src/settings/table.cpp` (`culvert help --markdown`); a test "
      "compares "
      "the two.\nPrecedence: flag, environment, file, default. Repeatable settings are lists in "
      "files "
      "and separated by\nspaces in the environment (tokens: by commas). Times are written `500ms`, "
      "`30s`, `5m`, `2h`; a bare number\nmeans seconds. Secrets are refused on the command line "
      "and in "
      "TOML.\n\nFiles are TOML (`-c FILE`, `--default-config`) or one JSON object on standard "
      "input "
      "(`--config-stdin`);\nkeys with dots are tables: `iroh.listen` is `listen` under `[iroh]`. "
      "`role` "
      "(server, client) and `mode`\n(iroh) may be stated and must then fit. `[iroh]` is the "
      "section of "
      "the mode: other modes (nostr, manual) will\nhave the same keys in sections of their names, "
      "and "
      "are not available yet.\n\n"
      "Where a setting names a file to read, `-` is standard input. At the start a pipe or a "
      "terminal may\nstand for a file (`--auth-token-file <(pass show culvert)`, `/dev/stdin`); it "
      "has 60 s to come to its\nend. A reload reads regular files only.\n\n"
      "A reload (SIGHUP, `--watch-config`) applies what is marked *live*, and the tunnels; the "
      "rest needs a\nrestart, and the log says so.\n";
  for (const CommandInfo& command : commands()) {
    text += fmt::format("\n## culvert {}\n\n{}.{}\n", command.name, command.summary,
                        command.alias.empty()
                            ? std::string()
                            : fmt::format(" tunnel-rs's name `{}` works too.", command.alias));
    std::string rows;
    for (const Setting& setting : table()) {
      if ((setting.commands & bit(command.command)) == 0) continue;
      const auto code = [](std::string_view value) {
        if (value.empty()) return std::string();
        std::string escaped;
        for (const char c : value) {
          if (c == '|') escaped += '\\';
          escaped += c;
        }
        return fmt::format("`{}`", escaped);
      };
      rows += fmt::format(
          "| {}{} | {} | {}{} | {} | {}{}{} |\n",
          setting.letter != 0 ? fmt::format("`-{}` ", setting.letter) : "",
          code(setting.is_secret
                   ? ""
                   : fmt::format("--{}{}{}", setting.flag, setting.placeholder.empty() ? "" : " ",
                                 setting.placeholder)),
          code(key_of(setting)), code(setting.environment),
          setting.environment_alias.empty() ? "" : " " + code(setting.environment_alias),
          code(setting.fallback), setting.help, setting.is_repeatable ? " (repeatable)" : "",
          (setting.live & bit(command.command)) != 0 ? " *live*" : "");
    }
    if (!rows.empty()) {
      text += fmt::format(
          "\n| flag | key | environment | default | meaning |\n| --- | --- | --- | --- | --- |\n{}",
          rows);
    }
  }
  text += "\n## [[iroh.tunnels]]\n\nTunnels of a client in a file; `-s` and `-t` replace them.\n\n";
  text += "| key | meaning |\n| --- | --- |\n";
  for (const TunnelKey& key : tunnel_keys()) {
    text += fmt::format("| `{}` | {} |\n", key.name, key.help);
  }
  text +=
      "\n## [[servers]]\n\nA client that uses several servers has one entry for each, instead of "
      "the settings of its own that\nname one server. What an entry says counts for its server, "
      "before flags and environment; what it\nleaves out comes from there or `[iroh]`.\n\n"
      "| key | meaning |\n| --- | --- |\n"
      "| `name` | for logs, status and `culvert tunnels`; required, unique |\n"
      "| `tunnels` | its tunnels, as `[[iroh.tunnels]]`: write `[[servers.tunnels]]` |\n";
  for (const Setting& setting : table()) {
    if (!setting.is_per_server || (setting.commands & bit(Command::client)) == 0) continue;
    text += fmt::format("| `{}` | as `{}`{} |\n", server_key(setting), key_of(setting),
                        setting.is_secret ? "" : fmt::format(", `--{}`", setting.flag));
  }
  return text;
}

}  // namespace culvert::settings
