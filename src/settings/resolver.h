// Joins flags, environment, file and defaults into the settings of one command. Precedence:
// flag, environment, file, default; lists are replaced, not merged.
#pragma once

#include "base/assert.h"
#include "base/result.h"
#include "base/time.h"
#include "base/words.h"
#include "settings/arguments.h"
#include "settings/node.h"
#include "settings/table.h"
#include "settings/value.h"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace culvert::settings {

// Ordered by precedence.
enum class Level : std::uint8_t { fallback, file, environment, flag };

// One value of a setting and where it came from, for errors about its meaning: "--listen",
// "CULVERT_LISTEN", "server.toml:4: iroh.listen".
struct Value {
  std::string text;
  std::string origin;
};

// One [[iroh.tunnels]] entry, or a --source and its --target.
struct TunnelEntry {
  std::string name{};
  Value source{};
  Value target{};
  bool is_enabled = true;
  // Settings that it has for itself (TunnelKey::like).
  std::map<Id, Value> own{};
  [[nodiscard]] std::optional<Duration> duration(Id id) const;
  template <HasWords Enum>
  [[nodiscard]] std::optional<Enum> choice(Id id) const {
    const auto found = own.find(id);
    return found == own.end() ? std::nullopt : value_of<Enum>(found->second.text);
  }
};

struct ServerEntry;

class Settings {
 public:
  // Whether somebody set it; a default does not count.
  [[nodiscard]] bool has(Id id) const { return level(id) != Level::fallback; }
  [[nodiscard]] Level level(Id id) const;
  // The value or the default; empty text and origin when there is neither. Of a repeatable
  // setting the last.
  [[nodiscard]] Value value(Id id) const;
  [[nodiscard]] std::string text(Id id) const { return value(id).text; }
  [[nodiscard]] std::vector<Value> values(Id id) const;
  [[nodiscard]] bool flag(Id id) const;  // false unless set
  [[nodiscard]] std::size_t count(Id id) const { return values(id).size(); }
  // In range by the table, which keeps it within T.
  template <std::integral T = std::int64_t>
  [[nodiscard]] T number(Id id) const {
    CULVERT_ASSERT(std::in_range<T>(whole(id)));
    return static_cast<T>(whole(id));
  }
  [[nodiscard]] std::size_t bytes(Id id) const { return number<std::size_t>(id) << 20; }
  [[nodiscard]] Duration duration(Id id) const;
  template <HasWords Enum>
  [[nodiscard]] Enum choice(Id id) const {
    const auto value = choice_or_none<Enum>(id);
    CULVERT_ASSERT(value.has_value());  // options_test: the table has no other words
    return *value;
  }
  // Where a word of the setting stands for no value ("auto").
  template <HasWords Enum>
  [[nodiscard]] std::optional<Enum> choice_or_none(Id id) const {
    return value_of<Enum>(text(id));
  }
  // In the order of the enumeration.
  template <HasWords Enum>
  [[nodiscard]] std::vector<Enum> choices(Id id) const {
    std::vector<Enum> values;
    const std::vector<std::string> words = parts_of(text(id), ',');
    for (const std::string_view word : kWords<Enum>) {
      if (std::ranges::find(words, word) != words.end()) values.push_back(*value_of<Enum>(word));
    }
    return values;
  }
  [[nodiscard]] const std::vector<TunnelEntry>& tunnels() const { return tunnels_; }
  // The [[servers]] of a client; empty: the one of these settings.
  [[nodiscard]] const std::vector<ServerEntry>& servers() const { return servers_; }

 private:
  friend class Resolver;
  [[nodiscard]] std::int64_t whole(Id id) const;
  struct Entry {
    Level level = Level::fallback;
    std::vector<Value> values;
  };
  std::map<Id, Entry> entries_;
  std::vector<TunnelEntry> tunnels_;
  std::vector<ServerEntry> servers_;
};

// One [[servers]] entry.
struct ServerEntry {
  std::string name;
  std::string origin;  // "client.toml:7: servers"
  // Its own keys, and what they leave out from everywhere else.
  Settings settings;
};

struct Inputs {
  const Arguments* arguments = nullptr;
  std::optional<Mode> mode{};  // as the command line says; empty: as the file does, or iroh
  ModeSet available = kAvailableModes;
  // A variable's value; nothing when unset. An empty one counts as unset.
  std::function<std::optional<std::string>(std::string_view)> environment{};
  const Node* file = nullptr;          // null: none
  std::string file_name{};             // for errors
  std::string directory{};             // of the file, with '/'; empty: names in it stay as they are
  bool file_may_hold_secrets = false;  // standard input
};

[[nodiscard]] Result<Settings> resolve(Command command, const Inputs& inputs);

}  // namespace culvert::settings
