#include "settings/man.h"

#include "settings/table.h"

#include <fmt/format.h>

#include <array>
#include <cctype>

namespace culvert::settings {
namespace {

constexpr std::string_view kProgramPage = "culvert.1";
constexpr std::string_view kFilePage = "culvert.toml.5";

// Text as roff shows it: every hyphen is one that can be copied, no line is a request.
std::string roff(std::string_view text) {
  std::string result;
  bool is_line_start = true;
  for (const char c : text) {
    if (is_line_start && (c == '.' || c == '\'')) result += "\\&";
    if (c == '-') {
      result += "\\-";
    } else if (c == '\\') {
      result += "\\e";
    } else {
      result += c;
    }
    is_line_start = c == '\n';
  }
  return result;
}

std::string bold(std::string_view text) {
  return fmt::format("\\fB{}\\fR", roff(text));
}
std::string italic(std::string_view text) {
  return fmt::format("\\fI{}\\fR", roff(text));
}

// "culvert-key-generate"
std::string title_of(const CommandInfo& command) {
  std::string title = fmt::format("culvert-{}", command.name);
  for (char& c : title) {
    if (c == ' ') c = '-';
  }
  return title;
}

std::string head(std::string_view title, int section, std::string_view version,
                 std::string_view summary) {
  std::string upper(title);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  // Without a date: the version says as much, and the page is the same at every build.
  return fmt::format(".TH {} {} \"\" \"culvert {}\" \"culvert\"\n.SH NAME\n{} \\- {}\n",
                     roff(upper), section, roff(version), roff(title), roff(summary));
}

// What the table cannot say of a command.
struct Prose {
  Command command;
  std::string_view description;
  std::string_view examples;  // lines as typed
};
constexpr std::array kProse{
    Prose{Command::server,
          "Prints its EndpointId and a ticket, which is the EndpointId and its addresses in one "
          "word, and lets clients in that prove a token, a key or an EndpointId. They reach what "
          "the allow lists hold and nothing else; without an allow list that is nothing.",
          "culvert key generate -o server.key\n"
          "culvert token > token && chmod 600 token\n"
          "culvert server --secret-file server.key --auth-tokens-file token \\\n"
          "    --listen '[::]:4433' --allowed-tcp 127.0.0.0/8"},
    Prose{Command::client,
          "Connects to a server and listens on local ports, each of which leads to an address that "
          "the server reaches. Flows outlive changes of network and pauses of the server's path.",
          "culvert client --ticket TICKET --auth-token-file token \\\n"
          "    -s tcp://127.0.0.1:22 -t 127.0.0.1:2222\n"
          "ssh -o ProxyCommand='culvert client --ticket TICKET --auth-token-file token -W %h:%p' "
          "HOST"},
    Prose{Command::key_generate,
          "The file has mode 0600 and is never written over another without --force. The public "
          "half is printed.",
          "culvert key generate -o server.key"},
    Prose{Command::token_generate,
          "A token lets whoever has it in. The server keeps all of them in one file, one a line; a "
          "client has its own in a file.",
          "culvert token >> tokens"},
    Prose{Command::status, "Asks every server and client of this user over its control socket.",
          "culvert status --watch"},
    Prose{Command::tunnels_add, "The tunnel lasts until the client ends; a reload keeps it.",
          "culvert tunnels add tcp://127.0.0.1:5432 127.0.0.1:5432 --name db"},
    Prose{Command::tunnels_set, "What is alike keeps its listener and its connections.",
          "culvert tunnels set db source=tcp://127.0.0.1:5433"},
    Prose{Command::completion, "Packages install what this prints.",
          "culvert completion bash > /etc/bash_completion.d/culvert"},
};

constexpr std::string_view kExitStatus =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nsuccess\n"
    ".TP\n.B 1\nany other failure\n"
    ".TP\n.B 2\nthe command line or the configuration is wrong\n"
    ".TP\n.B 3\nauthentication failed\n"
    ".TP\n.B 10\nthe server could not be reached\n"
    ".TP\n.B 11\nthe connection was lost\n";

constexpr std::string_view kSignals =
    ".SH SIGNALS\n"
    ".TP\n.B SIGHUP\nread the configuration and the files of tokens and keys again; a mistake "
    "changes nothing\n"
    ".TP\n.BR SIGTERM \", \" SIGINT\nlet flows end for \\fB\\-\\-drain\\-timeout\\fR, then exit; a "
    "second one ends them at once\n";

constexpr std::string_view kFiles =
    ".SH FILES\n"
    ".TP\n.I ~/.config/culvert/server.toml\n.TQ\n.I ~/.config/culvert/client.toml\n"
    "read with \\fB\\-\\-default\\-config\\fR\n"
    ".TP\n.I /etc/culvert/server\\-NAME.toml\n.TQ\n.I /etc/culvert/client\\-NAME.toml\n"
    "of the systemd units \\fBculvert\\-server@NAME\\fR and \\fBculvert\\-client@NAME\\fR; these "
    "say "
    "where keys and tokens are\n";

std::string sentence(std::string_view text) {
  std::string result(text);
  if (!result.empty()) {
    result[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(result[0])));
  }
  if (!result.ends_with('.')) result += '.';
  return result;
}

std::string option(const Setting& setting, Command command) {
  std::string text = ".TP\n";
  if (setting.is_secret) {
    text += bold(setting.environment);
  } else {
    if (setting.letter != 0) text += bold(fmt::format("-{}", setting.letter)) + ", ";
    text += bold(fmt::format("--{}", setting.flag));
    if (!setting.placeholder.empty()) text += " " + italic(setting.placeholder);
  }
  text += fmt::format("\n{}", roff(sentence(setting.help)));
  if (setting.is_secret)
    text += "\nIn the environment or with --config-stdin only: a list of processes would show it.";
  if (setting.is_repeatable) text += "\nMay be repeated.";
  if (!setting.fallback.empty()) text += fmt::format("\nDefault: {}.", bold(setting.fallback));
  if (!setting.is_secret && !setting.environment.empty()) {
    text += fmt::format("\nEnvironment: {}.", bold(setting.environment));
  }
  if (!setting.key.empty()) text += fmt::format("\nKey: {}.", bold(key_of(setting)));
  if ((setting.live & bit(command)) != 0) text += "\nA reload applies it.";
  return text + "\n";
}

std::string options(Command command) {
  std::string text;
  std::string_view group;
  for (const Setting& setting : table()) {
    if ((setting.commands & bit(command)) == 0) continue;
    if (text.empty()) text += ".SH OPTIONS\n";
    if (setting.group != group) text += fmt::format(".SS {}\n", roff(setting.group));
    group = setting.group;
    text += option(setting, command);
  }
  return text;
}

std::string see_also(std::string_view self) {
  std::string text = ".SH SEE ALSO\n";
  std::string_view separator;
  for (const std::string_view page :
       {std::string_view("culvert.1"), std::string_view("culvert-server.1"),
        std::string_view("culvert-client.1"), kFilePage}) {
    if (page == self) continue;
    const std::size_t dot = page.rfind('.');
    text += fmt::format("{}{}({})", separator, bold(page.substr(0, dot)), page.substr(dot + 1));
    separator = ",\n";
  }
  return text + "\n";
}

std::string examples(std::string_view lines) {
  return lines.empty() ? std::string() : fmt::format(".SH EXAMPLES\n.EX\n{}\n.EE\n", roff(lines));
}

std::string command_page(const CommandInfo& command, std::string_view version) {
  const std::string title = title_of(command);
  std::string text = head(title, 1, version, command.summary);
  text +=
      fmt::format(".SH SYNOPSIS\n{}{} [{}]\n", bold(fmt::format("culvert {}", command.name)),
                  command.operand.empty() ? "" : " " + italic(command.operand), italic("options"));
  const Prose* prose = nullptr;
  for (const Prose& known : kProse) {
    if (known.command == command.command) prose = &known;
  }
  text += fmt::format(".SH DESCRIPTION\n{}\n", roff(sentence(command.summary)));
  if (prose != nullptr) text += roff(prose->description) + "\n";
  if (!command.alias.empty()) {
    text += fmt::format("The name {} of tunnel\\-rs works too.\n", bold(command.alias));
  }
  text += options(command.command);
  if ((bit(command.command) & kRoles) != 0) {
    text +=
        ".PP\nA flag goes before the environment, the environment before the file, the file before "
        "the default.\n";
    text += kSignals;
    text += kFiles;
    text += kExitStatus;
  }
  if (prose != nullptr) text += examples(prose->examples);
  return text + see_also(title + ".1");
}

std::string program_page(std::string_view version) {
  std::string text =
      head("culvert", 1, version, "secure peer-to-peer TCP and UDP tunnels over QUIC");
  text += fmt::format(".SH SYNOPSIS\n{} {} [{}]\n", bold("culvert"), italic("COMMAND"),
                      italic("options"));
  text += ".SH DESCRIPTION\n" +
          roff(
              "A server on one machine lets authenticated clients on others reach services of its "
              "machine and network. Machines are addressed by public key; there is no account, no "
              "certificate authority, and no need to be root.\n") +
          ".SH COMMANDS\n";
  for (const CommandInfo& command : commands()) {
    text += fmt::format(".TP\n{}(1)\n{}.\n", bold(title_of(command)), roff(command.summary));
  }
  text += fmt::format(".TP\n{}\nExplains one; {} says what this program is made of.\n",
                      bold("culvert COMMAND --help"), bold("culvert --version"));
  text += kFiles;
  text += kExitStatus;
  return text + see_also(kProgramPage);
}

std::string file_page(std::string_view version) {
  std::string text = head("culvert.toml", 5, version, "configuration of culvert");
  text +=
      ".SH DESCRIPTION\n" +
      roff(
          "Read by \"culvert server -c FILE\" and \"culvert client -c FILE\". A key with dots is "
          "a key in a table: iroh.listen is listen under [iroh]. What can be repeated is a "
          "list. Times are written 500ms, 30s, 5m, 2h; a bare number means seconds. Secrets "
          "are refused: a file names the files that hold them.\n");
  for (const Command role : {Command::server, Command::client}) {
    text += fmt::format(".SH KEYS OF A {}\n", role == Command::server ? "SERVER" : "CLIENT");
    for (const Setting& setting : table()) {
      if ((setting.commands & bit(role)) == 0 || setting.key.empty() || setting.is_secret) continue;
      text += fmt::format(".TP\n{}\n{}", bold(key_of(setting)), roff(sentence(setting.help)));
      if (!setting.fallback.empty()) text += fmt::format("\nDefault: {}.", bold(setting.fallback));
      text += "\n";
    }
  }
  text += ".SH TUNNELS OF A CLIENT\nOne entry of " + bold("[[iroh.tunnels]]") + " for each.\n";
  for (const TunnelKey& key : tunnel_keys()) {
    text += fmt::format(".TP\n{}\n{}\n", bold(key.name), roff(sentence(key.help)));
  }
  text += ".SH SEVERAL SERVERS OF A CLIENT\nOne entry of " + bold("[[servers]]") +
          " for each, with " + bold("name") + ", its tunnels as " + bold("[[servers.tunnels]]") +
          ", and any of:\n";
  for (const Setting& setting : table()) {
    if (!setting.is_per_server || setting.is_secret) continue;
    if ((setting.commands & bit(Command::client)) == 0) continue;
    text += fmt::format(".TP\n{}\nAs {}.\n", bold(server_key(setting)), bold(key_of(setting)));
  }
  text += examples(
      "[iroh]\n"
      "ticket = \"...\"\n"
      "auth_token_file = \"token\"\n"
      "[[iroh.tunnels]]\n"
      "name = \"ssh\"\n"
      "source = \"tcp://127.0.0.1:22\"\n"
      "target = \"127.0.0.1:2222\"");
  return text + see_also(kFilePage);
}

}  // namespace

std::vector<std::string> man_pages() {
  std::vector<std::string> pages{std::string(kProgramPage)};
  for (const CommandInfo& command : commands()) pages.push_back(title_of(command) + ".1");
  pages.emplace_back(kFilePage);
  return pages;
}

std::optional<std::string> man_page(std::string_view name, std::string_view version) {
  if (name == kProgramPage) return program_page(version);
  if (name == kFilePage) return file_page(version);
  for (const CommandInfo& command : commands()) {
    if (name == title_of(command) + ".1") return command_page(command, version);
  }
  return std::nullopt;
}

}  // namespace culvert::settings
