#include "settings/help.h"

#include <fmt/format.h>

#include <map>
#include <set>
#include <string>

namespace culvert::settings {
namespace {

// First words of the command line: "server", "key", "generate-server-key", ...
std::set<std::string, std::less<>> first_words() {
  std::set<std::string, std::less<>> words{"help"};
  for (const CommandInfo& command : commands()) {
    words.emplace(command.name.substr(0, command.name.find(' ')));
    if (!command.alias.empty()) words.emplace(command.alias);
  }
  return words;
}

// "key": "generate show"; of every first word that has second ones.
std::map<std::string, std::string, std::less<>> second_words() {
  std::map<std::string, std::string, std::less<>> words;
  for (const CommandInfo& command : commands()) {
    const std::size_t space = command.name.find(' ');
    if (space == std::string_view::npos) continue;
    std::string& list = words[std::string(command.name.substr(0, space))];
    if (!list.empty()) list += ' ';
    list += command.name.substr(space + 1);
  }
  return words;
}

bool names_file(const Setting& setting) {
  return setting.placeholder == "FILE" || setting.placeholder == "DIRECTORY";
}

std::string flags_of(Command command) {
  std::string words = "--help";
  for (const Setting& setting : table()) {
    if ((setting.commands & bit(command)) == 0 || setting.is_secret) continue;
    words += fmt::format(" --{}", setting.flag);
  }
  return words;
}

// Commands whose first operand is a tunnel.
bool takes_tunnel(const CommandInfo& command) {
  return command.operand.starts_with("TUNNEL");
}

// A pattern of `case` that matches the words of a command: "server", "key generate".
std::string bash() {
  // Names are whoever's: they are compared and quoted, never expanded (as compgen -W would).
  std::string text =
      "# culvert completion for bash\n"
      "_culvert_names() {\n"
      "  local name\n"
      "  while IFS= read -r name; do\n"
      "    [[ $name == \"$2\"* ]] && COMPREPLY+=(\"$(printf '%q' \"$name\")\")\n"
      "  done < <(\"${COMP_WORDS[0]}\" completion \"$1\" 2>/dev/null)\n"
      "}\n"
      "_culvert() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
      "  local command=${COMP_WORDS[1]}\n"
      "  COMPREPLY=()\n";
  for (const auto& [word, list] : second_words()) {
    text += fmt::format(
        "  [[ $command == {0} && COMP_CWORD -gt 2 ]] && command=\"{0} ${{COMP_WORDS[2]}}\"\n",
        word);
  }
  std::string words;
  for (const std::string& word : first_words()) words += fmt::format(" {}", word);
  text += fmt::format(
      "  if [[ COMP_CWORD -eq 1 ]]; then\n"
      "    mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\")\n"
      "    return\n  fi\n",
      words.substr(1));
  for (const auto& [word, list] : second_words()) {
    text += fmt::format(
        "  if [[ $command == {} ]]; then\n"
        "    mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\")\n"
        "    return\n  fi\n",
        word, list);
  }
  text += fmt::format(
      "  if [[ $command == status || $command == tunnels\\ * ]]; then\n"
      "    case $previous in\n"
      "      --instance | -i) _culvert_names {} \"$current\"; return ;;\n"
      "    esac\n  fi\n",
      kCompletedInstances);
  text += "  case $previous in\n";
  std::set<std::string_view> seen;
  for (const Setting& setting : table()) {
    if (!seen.insert(setting.flag).second) continue;
    if (names_file(setting)) {
      text +=
          fmt::format("    --{}) mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return ;;\n",
                      setting.flag);
    } else if (setting.type == Type::choice) {
      std::string choices(setting.placeholder);
      for (char& c : choices) {
        if (c == '|') c = ' ';
      }
      text += fmt::format(
          "    --{}) mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$current\"); return ;;\n",
          setting.flag, choices);
    }
  }
  text += "  esac\n";
  std::string of_tunnels;
  for (const CommandInfo& command : commands()) {
    if (!takes_tunnel(command)) continue;
    of_tunnels += fmt::format("{}'{}'", of_tunnels.empty() ? "" : " | ", command.name);
  }
  text += fmt::format(
      "  if [[ $current != -* ]]; then\n"
      "    case $command in\n"
      "      {}) _culvert_names {} \"$current\"; return ;;\n"
      "    esac\n  fi\n",
      of_tunnels, kCompletedTunnels);
  text += "  case $command in\n";
  for (const CommandInfo& command : commands()) {
    const std::string extra = command.command == Command::completion ? " bash zsh fish" : "";
    const std::string pattern = command.alias.empty()
                                    ? fmt::format("'{}'", command.name)
                                    : fmt::format("'{}' | {}", command.name, command.alias);
    text += fmt::format("    {}) mapfile -t COMPREPLY < <(compgen -W '{}{}' -- \"$current\") ;;\n",
                        pattern, flags_of(command.command), extra);
  }
  text += "  esac\n}\ncomplete -o default -F _culvert culvert\n";
  return text;
}

// zsh runs the bash function: one description of the words, not two.
std::string zsh() {
  return "#compdef culvert\n# culvert completion for zsh\nautoload -U +X bashcompinit && "
         "bashcompinit\n" +
         bash();
}

std::string fish_quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string fish() {
  std::string text = "# culvert completion for fish\ncomplete -c culvert -f\n";
  for (const std::string& word : first_words()) {
    text += fmt::format("complete -c culvert -n __fish_use_subcommand -a {}\n", word);
  }
  for (const auto& [word, list] : second_words()) {
    text += fmt::format("complete -c culvert -n '__fish_seen_subcommand_from {}' -a '{}'\n", word,
                        list);
  }
  text += "complete -c culvert -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n";
  for (const CommandInfo& command : commands()) {
    if (!takes_tunnel(command)) continue;
    const std::size_t space = command.name.find(' ');
    text += fmt::format(
        "complete -c culvert -n '__fish_seen_subcommand_from {}; and __fish_seen_subcommand_from "
        "{}' -a '(culvert completion {} 2>/dev/null)'\n",
        command.name.substr(0, space), command.name.substr(space + 1), kCompletedTunnels);
  }
  for (const CommandInfo& command : commands()) {
    const std::string_view word = command.name.substr(0, command.name.find(' '));
    for (const Setting& setting : table()) {
      if ((setting.commands & bit(command.command)) == 0 || setting.is_secret) continue;
      std::string value;
      if (names_file(setting))
        value = " -r -F";
      else if (setting.type == Type::choice) {
        std::string choices(setting.placeholder);
        for (char& c : choices) {
          if (c == '|') c = ' ';
        }
        value = fmt::format(" -x -a '{}'", choices);
      } else if (setting.id == Id::instance) {
        value = fmt::format(" -x -a '(culvert completion {} 2>/dev/null)'", kCompletedInstances);
      } else if (!setting.placeholder.empty()) {
        value = " -x";
      }
      text += fmt::format(
          "complete -c culvert -n '__fish_seen_subcommand_from {}{}{}' -l {}{}{} -d {}\n", word,
          command.alias.empty() ? "" : " ", command.alias, setting.flag,
          setting.letter != 0 ? fmt::format(" -s {}", setting.letter) : "", value,
          fish_quoted(setting.help));
    }
  }
  return text;
}

}  // namespace

std::optional<Shell> shell_of(std::string_view name) {
  if (name == "bash") return Shell::bash;
  if (name == "zsh") return Shell::zsh;
  if (name == "fish") return Shell::fish;
  return std::nullopt;
}

std::string completion(Shell shell) {
  switch (shell) {
    case Shell::bash:
      return bash();
    case Shell::zsh:
      return zsh();
    case Shell::fish:
      return fish();
  }
  return {};
}

}  // namespace culvert::settings
