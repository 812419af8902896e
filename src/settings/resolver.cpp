#include "settings/resolver.h"

#include "base/assert.h"
#include "settings/file_values.h"
#include "settings/lists.h"
#include "settings/suggest.h"
#include "settings/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace culvert::settings {
namespace {

// Two spellings of one thing: the one given at the higher level wins; both at the same
// level contradict each other.
constexpr std::array kAlternatives{
    std::pair{Id::secret, Id::secret_file},
    std::pair{Id::auth_token, Id::auth_token_file},
};

}  // namespace

class Resolver {
 public:
  Resolver(Command command, const Inputs& inputs)
      : command_(command), inputs_(inputs), file_(inputs) {}

  Result<Settings> run() {
    CULVERT_CHECK(choose_mode());
    for (const Setting& setting : table()) {
      if ((setting.commands & bit(command_)) != 0 && is_of(setting, mode_)) {
        known_.push_back(&setting);
      }
    }
    if (inputs_.file != nullptr) {
      CULVERT_CHECK(read_table(*inputs_.file, ""));
    }
    CULVERT_CHECK(read_environment());
    if (inputs_.arguments != nullptr) {
      CULVERT_CHECK(read_arguments());
    }
    CULVERT_CHECK(settle_alternatives());
    if (command_ == Command::client) {
      CULVERT_CHECK(pair_tunnels());
      CULVERT_CHECK(join_servers());
    }
    return std::move(settings_);
  }

 private:
  // Before anything else: the mode decides which keys there are.
  Status choose_mode() {
    if (inputs_.mode) mode_ = *inputs_.mode;
    if (inputs_.file == nullptr) return {};
    for (const auto& [name, member] : inputs_.file->members) {
      if (name != "mode") continue;
      const std::string origin = file_.where(member, name);
      CULVERT_TRY(const Mode mode, parse_mode(member.text, origin, inputs_.available));
      if (inputs_.mode && mode != mode_) return expect_word(name, member, word_of(mode_));
      mode_ = mode;
    }
    return {};
  }

  // Replaces what a lower level said.
  void set(const Setting& setting, Level level, std::vector<Value> values) {
    settings_.entries_[setting.id] = {level, std::move(values)};
  }

  // --- files ---------------------------------------------------------------------------------

  Status read_table(const Node& node, const std::string& prefix) {
    for (const auto& [name, member] : node.members) {
      const std::string key = prefix.empty() ? name : fmt::format("{}.{}", prefix, name);
      CULVERT_CHECK(read_member(key, member));
    }
    return {};
  }

  Status read_member(const std::string& key, const Node& member) {
    if (key == "role") return expect_word(key, member, info(command_).name);
    if (key == "mode") return expect_word(key, member, word_of(mode_));
    if (value_of<Mode>(key).value_or(mode_) != mode_) return fail_section(key, member);
    if (command_ == Command::client) {
      if (key == in_section(mode_, kTunnelsKey)) {
        CULVERT_TRY(file_tunnels_, read_tunnels(file_, member, key));
        return {};
      }
      if (key == kServersKey) {
        CULVERT_TRY(file_servers_, read_servers(file_, known_, member));
        return {};
      }
    }
    const Setting* setting = by_key(key);
    if (setting == nullptr) {
      if (member.kind == Node::Kind::table && is_section(key)) return read_table(member, key);
      return unknown_key(key, member);
    }
    CULVERT_CHECK(file_.check_secret(*setting, key, member));
    CULVERT_TRY(std::vector<Value> values, file_.read(*setting, key, member));
    set(*setting, Level::file, std::move(values));
    return {};
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
                  fmt::format("{}: {}", inputs_.file_name, in_section(mode_, kTunnelsKey)));
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

  Status expect_word(const std::string& key, const Node& node, std::string_view wanted) const {
    if (node.kind == Node::Kind::text && node.text == wanted) return {};
    return fail(ErrorKind::configuration,
                fmt::format("the file is for {} = \"{}\", but this is a culvert {} in mode {}", key,
                            node.text, info(command_).name, word_of(mode_)),
                file_.where(node, key));
  }

  const Setting* by_key(std::string_view key) const {
    const auto it = std::ranges::find_if(known_, [&](const Setting* setting) {
      if (setting->key.empty()) return false;
      if (key_of(*setting, mode_) == key) return true;
      return !setting->key_alias.empty() && in_section(mode_, setting->key_alias) == key;
    });
    return it == known_.end() ? nullptr : *it;
  }

  bool is_section(const std::string& key) const {
    const std::string prefix = key + '.';
    return std::ranges::any_of(known_, [&](const Setting* setting) {
      return key_of(*setting, mode_).starts_with(prefix);
    });
  }

  // Of a mode that is not the one in use.
  Status fail_section(const std::string& key, const Node& node) const {
    return fail(ErrorKind::configuration,
                fmt::format("is for mode {}, but mode {} is active: its settings stand in [{}]",
                            key, word_of(mode_), word_of(mode_)),
                file_.where(node, key));
  }

  // Of a setting that there is in other modes only.
  Status fail_mode(const Setting& setting, std::string origin) const {
    std::vector<std::string_view> modes;
    for (const std::string_view word : kWords<Mode>) {
      if (is_of(setting, *value_of<Mode>(word))) modes.push_back(word);
    }
    return fail(ErrorKind::configuration,
                fmt::format("is a setting of mode {}, but mode {} is active",
                            fmt::join(modes, ", "), word_of(mode_)),
                std::move(origin));
  }

  Status unknown_key(const std::string& key, const Node& node) const {
    for (const Setting& setting : table()) {
      if (setting.key.empty() || key_of(setting, mode_) != key) continue;
      if (!is_of(setting, mode_)) return fail_mode(setting, file_.where(node, key));
      if ((setting.commands & bit(command_)) == 0) {
        return fail(ErrorKind::configuration,
                    fmt::format("is not a setting of culvert {}", info(command_).name),
                    file_.where(node, key));
      }
    }
    std::vector<std::string> keys{"role", "mode"};
    for (const Setting* setting : known_) {
      if (!setting->key.empty()) keys.push_back(key_of(*setting, mode_));
    }
    if (command_ == Command::client) {
      keys.push_back(in_section(mode_, kTunnelsKey));
      keys.emplace_back(kServersKey);
    }
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    return fail(ErrorKind::configuration,
                fmt::format("no such setting{}", did_you_mean(key, views)), file_.where(node, key));
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
          for (std::string& part : parts_of(*text, setting->list_separator)) {
            values.push_back({std::move(part), std::string(name)});
          }
        } else {
          values.push_back({*text, std::string(name)});
        }
        for (const Value& value : values) {
          CULVERT_CHECK(check_value(*setting, value.text, name));
        }
        set(*setting, Level::environment, std::move(values));
        break;  // our own name before tunnel-rs's
      }
    }
    return {};
  }

  Status read_arguments() {
    for (const Argument& argument : inputs_.arguments->settings) {
      if (!is_of(*argument.setting, mode_)) return fail_mode(*argument.setting, argument.origin);
      auto& entry = settings_.entries_[argument.setting->id];
      const bool adds = argument.setting->is_repeatable || argument.setting->type == Type::counter;
      if (entry.level != Level::flag || !adds) entry = {Level::flag, {}};
      entry.values.push_back({argument.value, argument.origin});
    }
    return {};
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
  const FileValues file_;
  Mode mode_ = Mode::iroh;
  std::vector<const Setting*> known_;  // of the command and the mode
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

std::int64_t Settings::whole(Id id) const {
  const auto parsed = parse_number(text(id));
  CULVERT_ASSERT(parsed.has_value());  // checked when it came in
  return *parsed;
}

std::optional<Duration> TunnelEntry::duration(Id id) const {
  const auto found = own.find(id);
  if (found == own.end()) return std::nullopt;
  const auto parsed = parse_duration(found->second.text);
  CULVERT_ASSERT(parsed.has_value());  // checked when it came in
  return *parsed;
}

Duration Settings::duration(Id id) const {
  const auto parsed = parse_duration(text(id));
  CULVERT_ASSERT(parsed.has_value());  // checked when it came in
  return *parsed;
}

}  // namespace culvert::settings
