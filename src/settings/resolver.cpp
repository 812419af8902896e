#include "settings/resolver.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/printable.h"
#include "settings/suggest.h"
#include "settings/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

namespace culvert::settings {
namespace {

constexpr std::string_view kModeIroh = "iroh";

// Two spellings of one thing: the one given at the higher level wins; both at the same
// level contradict each other.
constexpr std::array kAlternatives{
    std::pair{Id::secret, Id::secret_file},
    std::pair{Id::auth_token, Id::auth_token_file},
};

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    std::string_view part = text.substr(0, end);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) parts.emplace_back(part);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

std::string_view kind_text(const Node& node) {
  switch (node.kind) {
    case Node::Kind::text:
      return "text";
    case Node::Kind::number:
      return "a number";
    case Node::Kind::flag:
      return "true or false";
    case Node::Kind::list:
      return "a list";
    case Node::Kind::table:
      return "a table";
    case Node::Kind::other:
      break;
  }
  return node.text;
}

}  // namespace

class Resolver {
 public:
  Resolver(Command command, const Inputs& inputs) : command_(command), inputs_(inputs) {
    for (const Setting& setting : table()) {
      if ((setting.commands & bit(command)) != 0) known_.push_back(&setting);
    }
  }

  Result<Settings> run() {
    if (inputs_.file != nullptr) {
      if (Status read = read_table(*inputs_.file, ""); !read) return forward(read);
    }
    if (Status read = read_environment(); !read) return forward(read);
    if (inputs_.arguments != nullptr) read_arguments();
    if (Status checked = settle_alternatives(); !checked) return forward(checked);
    if (command_ == Command::client) {
      if (Status paired = pair_tunnels(); !paired) return forward(paired);
      if (Status joined = join_servers(); !joined) return forward(joined);
    }
    return std::move(settings_);
  }

 private:
  // Replaces what a lower level said.
  void set(const Setting& setting, Level level, std::vector<Value> values) {
    settings_.entries_[setting.id] = {level, std::move(values)};
  }

  // --- files ---------------------------------------------------------------------------------

  std::string where(const Node& node, std::string_view key) const {
    if (node.line == 0) return fmt::format("{}: {}", inputs_.file_name, key);
    return fmt::format("{}:{}: {}", inputs_.file_name, node.line, key);
  }

  Status read_table(const Node& node, const std::string& prefix) {
    for (const auto& [name, member] : node.members) {
      const std::string key = prefix.empty() ? name : fmt::format("{}.{}", prefix, name);
      if (Status read = read_member(key, member); !read) return read;
    }
    return {};
  }

  Status read_member(const std::string& key, const Node& member) {
    if (key == "role") return expect_word(key, member, info(command_).name);
    if (key == "mode") return expect_word(key, member, kModeIroh);
    if (command_ == Command::client) {
      if (key == kTunnelsKey) return read_tunnels(member, kTunnelsKey, file_tunnels_);
      if (key == kServersKey) return read_servers(member);
    }
    const Setting* setting = by_key(key);
    if (setting == nullptr) {
      if (member.kind == Node::Kind::table && is_section(key)) return read_table(member, key);
      return unknown_key(key, member);
    }
    if (Status checked = check_secret(*setting, key, member); !checked) return checked;
    CULVERT_TRY(std::vector<Value> values, read_values(*setting, key, member));
    set(*setting, Level::file, std::move(values));
    return {};
  }

  Status check_secret(const Setting& setting, const std::string& key, const Node& member) const {
    if (!setting.is_secret || inputs_.file_may_hold_secrets) return {};
    return fail(ErrorKind::configuration,
                fmt::format("secrets do not belong in a configuration file: use {}_file, the "
                            "environment variable {}, or --config-stdin",
                            key, setting.environment),
                where(member, key));
  }

  Result<std::vector<Value>> read_values(const Setting& setting, const std::string& key,
                                         const Node& node) const {
    const std::string origin = where(node, key);
    if (node.kind == Node::Kind::list) {
      if (!setting.is_repeatable) {
        return fail(ErrorKind::configuration, "needs one value, not a list", origin);
      }
      std::vector<Value> values;
      for (const Node& item : node.items) {
        CULVERT_TRY(Value value, read_scalar(setting, key, item));
        values.push_back(std::move(value));
      }
      return values;
    }
    CULVERT_TRY(Value value, read_scalar(setting, key, node));
    return std::vector{std::move(value)};
  }

  Result<Value> read_scalar(const Setting& setting, const std::string& key,
                            const Node& node) const {
    const std::string origin = where(node, key);
    const bool is_flag = setting.type == Type::flag;
    const bool takes_number = setting.type == Type::number || setting.type == Type::duration;
    const bool fits = (node.kind == Node::Kind::flag && is_flag) ||
                      (node.kind == Node::Kind::number && takes_number) ||
                      (node.kind == Node::Kind::text && !is_flag && setting.type != Type::number);
    if (!fits) {
      const std::string_view wanted = is_flag                          ? "true or false"
                                      : setting.type == Type::number   ? "a number"
                                      : setting.type == Type::duration ? "a time such as \"30s\""
                                                                       : "text in quotes";
      return fail(ErrorKind::configuration,
                  fmt::format("needs {}, not {}", wanted, kind_text(node)), origin);
    }
    if (Status checked = check_value(setting, node.text, origin); !checked) return forward(checked);
    return Value{setting.is_path ? located(node.text) : node.text, origin};
  }

  // A file name of the file, as others may use it. "-" is standard input, "~/" at home,
  // "credential:NAME" a service's own.
  std::string located(const std::string& name) const {
    const bool stays = name.empty() || name == "-" || name[0] == '/' || name.starts_with("~/") ||
                       name.starts_with("credential:");
    return stays ? name : inputs_.directory + name;
  }
  // "unix:local.sock" of a target.
  std::string located_target(const std::string& target) const {
    constexpr std::string_view kUnix = "unix:";
    if (!target.starts_with(kUnix)) return target;
    return std::string(kUnix) + located(target.substr(kUnix.size()));
  }

  Status read_tunnels(const Node& node, std::string_view list, std::vector<TunnelEntry>& into) {
    if (node.kind != Node::Kind::list) {
      return fail(ErrorKind::configuration, fmt::format("needs a list: write [[{}]]", list),
                  where(node, list));
    }
    std::set<std::string> names;
    for (const Node& item : node.items) {
      CULVERT_TRY(TunnelEntry entry, read_tunnel(item, list));
      if (!entry.name.empty() && !names.insert(entry.name).second) {
        return fail(ErrorKind::configuration,
                    fmt::format("two tunnels are called '{}'", entry.name), where(item, list));
      }
      into.push_back(std::move(entry));
    }
    return {};
  }

  Result<TunnelEntry> read_tunnel(const Node& node, std::string_view list) {
    const std::string origin = where(node, list);
    if (node.kind != Node::Kind::table) {
      return fail(ErrorKind::configuration, "each tunnel is a table with source and target",
                  origin);
    }
    TunnelEntry entry;
    for (const auto& [name, member] : node.members) {
      const std::string key = fmt::format("{}.{}", list, name);
      const Value value{member.text, where(member, key)};
      const bool is_flag = name == "enabled";
      std::vector<std::string_view> names;
      for (const TunnelKey& known : tunnel_keys()) names.push_back(known.name);
      if (std::ranges::find(names, name) == names.end()) {
        return fail(ErrorKind::configuration,
                    fmt::format("no such setting{}", did_you_mean(name, names)), value.origin);
      }
      if (name == "udp_idle_timeout") {
        CULVERT_TRY(entry.udp_idle_timeout, read_tunnel_duration(key, member));
        continue;
      }
      if (name == "multipath") {
        CULVERT_TRY(const Value mode, read_scalar(setting(Id::multipath), key, member));
        entry.multipath = multipath_of(mode.text);
        continue;
      }
      if (member.kind != (is_flag ? Node::Kind::flag : Node::Kind::text)) {
        return fail(ErrorKind::configuration,
                    fmt::format("needs {}, not {}", is_flag ? "true or false" : "text in quotes",
                                kind_text(member)),
                    value.origin);
      }
      if (name == "source") entry.source = value;
      if (name == "target") entry.target = {located_target(value.text), value.origin};
      if (name == "name") entry.name = value.text;
      if (is_flag) entry.is_enabled = value.text == "true";
    }
    if (entry.source.text.empty() || entry.target.text.empty()) {
      return fail(ErrorKind::configuration, "a tunnel needs source and target", origin);
    }
    return entry;
  }

  // --- [[servers]] ---------------------------------------------------------------------------

  struct FileServer {
    std::string name{};
    std::string origin{};
    std::map<Id, std::vector<Value>> values{};
    std::vector<TunnelEntry> tunnels{};
  };

  Status read_servers(const Node& node) {
    if (node.kind != Node::Kind::list) {
      return fail(ErrorKind::configuration, "needs a list: write [[servers]]",
                  where(node, kServersKey));
    }
    for (const Node& item : node.items) {
      CULVERT_TRY(FileServer server, read_server(item));
      if (std::ranges::find(file_servers_, server.name, &FileServer::name) != file_servers_.end()) {
        return fail(ErrorKind::configuration,
                    fmt::format("two servers are called '{}'", server.name), server.origin);
      }
      file_servers_.push_back(std::move(server));
    }
    if (file_servers_.size() > limits::kMaxServers) {
      return fail(ErrorKind::configuration,
                  fmt::format("{} servers are more than a client may have ({})",
                              file_servers_.size(), limits::kMaxServers),
                  where(node, kServersKey));
    }
    return {};
  }

  Result<FileServer> read_server(const Node& node) {
    FileServer server{.origin = where(node, kServersKey)};
    if (node.kind != Node::Kind::table) {
      return fail(ErrorKind::configuration, "each server is a table with a name", server.origin);
    }
    for (const auto& [name, member] : node.members) {
      const std::string key = fmt::format("{}.{}", kServersKey, name);
      if (name == "name") {
        if (Status named = read_server_name(member, key, server.name); !named) {
          return forward(named);
        }
      } else if (name == "tunnels") {
        if (Status read = read_tunnels(member, "servers.tunnels", server.tunnels); !read) {
          return forward(read);
        }
      } else if (const Setting* setting = by_server_key(name)) {
        if (Status checked = check_secret(*setting, key, member); !checked) {
          return forward(checked);
        }
        CULVERT_TRY(server.values[setting->id], read_values(*setting, key, member));
      } else {
        return fail(ErrorKind::configuration,
                    fmt::format("no such setting{}", did_you_mean(name, server_keys())),
                    where(member, key));
      }
    }
    if (server.name.empty()) {
      return fail(ErrorKind::configuration, "a server needs a name", server.origin);
    }
    return server;
  }

  Status read_server_name(const Node& node, const std::string& key, std::string& name) const {
    if (node.kind != Node::Kind::text || node.text.size() > limits::kMaxTunnelNameBytes ||
        !is_printable(node.text)) {
      return fail(
          ErrorKind::configuration,
          fmt::format("needs text of at most {} bytes in quotes", limits::kMaxTunnelNameBytes),
          where(node, key));
    }
    name = node.text;
    return {};
  }

  const Setting* by_server_key(std::string_view key) const {
    const auto it = std::ranges::find_if(known_, [&](const Setting* setting) {
      return setting->is_per_server &&
             (server_key(*setting) == key ||
              (!setting->key_alias.empty() && setting->key_alias == fmt::format("iroh.{}", key)));
    });
    return it == known_.end() ? nullptr : *it;
  }

  std::vector<std::string_view> server_keys() const {
    std::vector<std::string_view> keys{"name", "tunnels"};
    for (const Setting* setting : known_) {
      if (setting->is_per_server) keys.push_back(server_key(*setting));
    }
    return keys;
  }

  // What one entry says counts for its server; the rest is everybody's.
  Status join_servers() {
    if (file_servers_.empty()) return {};
    // Of which server would it be?
    for (const Id id :
         {Id::server_node_id, Id::ticket, Id::addresses, Id::source, Id::stdio, Id::socks5}) {
      if (!settings_.has(id)) continue;
      return fail(ErrorKind::configuration,
                  "is for a client with one server, but the file has [[servers]]",
                  settings_.value(id).origin);
    }
    if (!settings_.tunnels_.empty()) {
      return fail(ErrorKind::configuration, "belong to a server here: write [[servers.tunnels]]",
                  fmt::format("{}: {}", inputs_.file_name, kTunnelsKey));
    }
    std::vector<ServerEntry> servers;
    for (FileServer& server : file_servers_) {
      Settings own = settings_;
      for (const auto& [first, second] : kAlternatives) {
        const bool has_first = server.values.contains(first);
        const bool has_second = server.values.contains(second);
        if (has_first && has_second) {
          return fail(ErrorKind::configuration,
                      fmt::format("give it or {}, not both", server.values[second].front().origin),
                      server.values[first].front().origin);
        }
        if (has_first || has_second) own.entries_.erase(has_first ? second : first);
      }
      for (auto& [id, values] : server.values) own.entries_[id] = {Level::file, std::move(values)};
      own.tunnels_ = std::move(server.tunnels);
      servers.push_back({std::move(server.name), std::move(server.origin), std::move(own)});
    }
    settings_.servers_ = std::move(servers);
    return {};
  }

  // As the setting for all tunnels, in form and range.
  Result<Duration> read_tunnel_duration(const std::string& key, const Node& node) const {
    CULVERT_TRY(const Value value, read_scalar(setting(Id::udp_idle_timeout), key, node));
    return parse_duration(value.text);
  }

  Status expect_word(const std::string& key, const Node& node, std::string_view wanted) const {
    if (node.kind == Node::Kind::text && node.text == wanted) return {};
    return fail(ErrorKind::configuration,
                fmt::format("the file is for {} = \"{}\", but this is a culvert {} in mode {}", key,
                            node.text, info(command_).name, kModeIroh),
                where(node, key));
  }

  const Setting* by_key(std::string_view key) const {
    const auto it = std::ranges::find_if(known_, [&](const Setting* setting) {
      return !setting->key.empty() && (setting->key == key || setting->key_alias == key);
    });
    return it == known_.end() ? nullptr : *it;
  }

  bool is_section(const std::string& key) const {
    const std::string prefix = key + '.';
    return std::ranges::any_of(
        known_, [&](const Setting* setting) { return setting->key.starts_with(prefix); });
  }

  Status unknown_key(const std::string& key, const Node& node) const {
    for (const Setting& setting : table()) {
      if (setting.key == key && (setting.commands & bit(command_)) == 0) {
        return fail(ErrorKind::configuration,
                    fmt::format("is not a setting of culvert {}", info(command_).name),
                    where(node, key));
      }
    }
    std::vector<std::string_view> keys{"role", "mode"};
    for (const Setting* setting : known_) {
      if (!setting->key.empty()) keys.push_back(setting->key);
    }
    if (command_ == Command::client) {
      keys.push_back(kTunnelsKey);
      keys.push_back(kServersKey);
    }
    return fail(ErrorKind::configuration, fmt::format("no such setting{}", did_you_mean(key, keys)),
                where(node, key));
  }

  // --- environment and flags -----------------------------------------------------------------

  Status read_environment() {
    if (!inputs_.environment) return {};
    for (const Setting* setting : known_) {
      for (const std::string_view name : {setting->environment, setting->environment_alias}) {
        if (name.empty()) continue;
        const auto text = inputs_.environment(name);
        if (!text || text->empty()) continue;
        std::vector<Value> values;
        if (setting->is_repeatable) {
          for (std::string& part : split(*text, setting->list_separator)) {
            values.push_back({std::move(part), std::string(name)});
          }
        } else {
          values.push_back({*text, std::string(name)});
        }
        for (const Value& value : values) {
          if (Status checked = check_value(*setting, value.text, name); !checked) return checked;
        }
        set(*setting, Level::environment, std::move(values));
        break;  // our own name before tunnel-rs's
      }
    }
    return {};
  }

  void read_arguments() {
    for (const Argument& argument : inputs_.arguments->settings) {
      auto& entry = settings_.entries_[argument.setting->id];
      const bool adds = argument.setting->is_repeatable || argument.setting->type == Type::counter;
      if (entry.level != Level::flag || !adds) entry = {Level::flag, {}};
      entry.values.push_back({argument.value, argument.origin});
    }
  }

  // --- rules between settings ----------------------------------------------------------------

  Status settle_alternatives() {
    for (const auto& [first, second] : kAlternatives) {
      if (!settings_.has(first) || !settings_.has(second)) continue;
      const Level a = settings_.level(first);
      const Level b = settings_.level(second);
      if (a == b) {
        return fail(ErrorKind::configuration,
                    fmt::format("give it or {}, not both", settings_.value(second).origin),
                    settings_.value(first).origin);
      }
      settings_.entries_.erase(a < b ? first : second);
    }
    return {};
  }

  // Sources and targets go together one by one. Flags replace what files list.
  Status pair_tunnels() {
    const auto sources = settings_.values(Id::source);
    const auto targets = settings_.values(Id::target);
    if (sources.size() != targets.size()) {
      const bool lacks_target = sources.size() > targets.size();
      return fail(ErrorKind::configuration,
                  fmt::format("each --source needs a --target: there are {} and {}", sources.size(),
                              targets.size()),
                  lacks_target ? sources.back().text : targets.back().text);
    }
    const bool only_file = !settings_.has(Id::source) || settings_.level(Id::source) == Level::file;
    if (only_file) settings_.tunnels_ = std::move(file_tunnels_);
    for (std::size_t i = 0; i < sources.size(); ++i) {
      settings_.tunnels_.push_back({.source = sources[i], .target = targets[i]});
    }
    return {};
  }

  Command command_;
  const Inputs& inputs_;
  std::vector<const Setting*> known_;
  std::vector<TunnelEntry> file_tunnels_;
  std::vector<FileServer> file_servers_;
  Settings settings_;
};

Result<Settings> resolve(Command command, const Inputs& inputs) {
  return Resolver(command, inputs).run();
}

Level Settings::level(Id id) const {
  const auto it = entries_.find(id);
  return it == entries_.end() ? Level::fallback : it->second.level;
}

std::vector<Value> Settings::values(Id id) const {
  if (const auto it = entries_.find(id); it != entries_.end()) return it->second.values;
  const Setting& known = setting(id);
  if (known.fallback.empty()) return {};
  return {{known.fallback, fmt::format("default of --{}", known.flag)}};
}

Value Settings::value(Id id) const {
  const auto all = values(id);
  return all.empty() ? Value{} : all.back();
}

bool Settings::flag(Id id) const {
  const std::string value_text = text(id);
  return !value_text.empty() && parse_flag(value_text).value_or(false);
}

std::int64_t Settings::number(Id id) const {
  const auto parsed = parse_number(text(id));
  CULVERT_ASSERT(parsed.has_value());  // checked when it came in
  return *parsed;
}

Duration Settings::duration(Id id) const {
  const auto parsed = parse_duration(text(id));
  CULVERT_ASSERT(parsed.has_value());  // checked when it came in
  return *parsed;
}

}  // namespace culvert::settings
