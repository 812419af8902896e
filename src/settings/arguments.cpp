#include "settings/arguments.h"

#include "settings/suggest.h"
#include "settings/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace culvert::settings {
namespace {

bool takes_value(const Setting& setting) {
  return setting.type != Type::flag && setting.type != Type::counter;
}

class Parser {
 public:
  Parser(Command command, std::span<const std::string_view> args) : command_(command), args_(args) {
    for (const Setting& setting : table()) {
      if ((setting.commands & bit(command)) != 0) known_.push_back(&setting);
    }
  }

  Result<Arguments> run() {
    while (!args_.empty()) {
      const std::string_view arg = take();
      Status parsed;
      if (arg == "--") {
        for (const std::string_view operand : args_) result_.operands.emplace_back(operand);
        break;
      }
      if (arg == "--help" || arg == "-h") {
        result_.wants_help = true;
      } else if (arg.starts_with("--")) {
        parsed = parse_long(arg);
      } else if (arg.size() > 1 && arg.front() == '-') {
        parsed = parse_letters(arg);
      } else {
        result_.operands.emplace_back(arg);
      }
      if (!parsed) return forward(parsed);
    }
    return std::move(result_);
  }

 private:
  std::string_view take() {
    const std::string_view arg = args_.front();
    args_ = args_.subspan(1);
    return arg;
  }

  Status parse_long(std::string_view arg) {
    const auto equals = arg.find('=');
    const std::string_view name = arg.substr(2, equals == arg.npos ? arg.npos : equals - 2);
    const auto it = std::ranges::find_if(known_, [&](const Setting* setting) {
      return name == setting->flag || (!name.empty() && name == setting->flag_alias);
    });
    if (it == known_.end()) return unknown(arg.substr(0, equals));
    std::optional<std::string_view> value;
    if (equals != arg.npos) value = arg.substr(equals + 1);
    return add(**it, fmt::format("--{}", name), value);
  }

  // "-n value", "-nvalue", "-vvq".
  Status parse_letters(std::string_view arg) {
    for (std::size_t i = 1; i < arg.size(); ++i) {
      const auto it = std::ranges::find(known_, arg[i], &Setting::letter);
      if (it == known_.end()) return unknown(i == 1 ? arg : fmt::format("-{}", arg[i]));
      const std::string origin = fmt::format("-{}", arg[i]);
      if (!takes_value(**it)) {
        CULVERT_CHECK(add(**it, origin, {}));
        continue;
      }
      std::optional<std::string_view> value;
      if (i + 1 < arg.size()) value = arg.substr(i + 1);
      return add(**it, origin, value);
    }
    return {};
  }

  Status add(const Setting& setting, std::string origin, std::optional<std::string_view> value) {
    if (setting.is_secret) {
      const std::string file = fmt::format("{}-file", setting.flag);
      const bool has_file = std::ranges::find(known_, file, &Setting::flag) != known_.end();
      return fail(ErrorKind::configuration,
                  fmt::format("secrets on a command line can be read by every user of this machine;"
                              " use {}the environment variable {}",
                              has_file ? fmt::format("--{} or ", file) : "", setting.environment),
                  std::move(origin));
    }
    if (!takes_value(setting)) {
      if (value && setting.type == Type::counter) {
        return fail(ErrorKind::configuration, "takes no value", std::move(origin));
      }
      if (value) {
        CULVERT_CHECK(check_value(setting, *value, origin));
      }
      result_.settings.push_back({&setting, std::string(value.value_or("true")), origin});
      return {};
    }
    if (!value) {
      // A value may start with '-' only in the --name=value form, except '-' itself (a file).
      const bool is_missing =
          args_.empty() || (args_.front().starts_with('-') && args_.front() != "-");
      if (is_missing) {
        return fail(ErrorKind::configuration,
                    fmt::format("needs a value: {} {}", origin, setting.placeholder), origin);
      }
      value = take();
    }
    CULVERT_CHECK(check_value(setting, *value, origin));
    result_.settings.push_back({&setting, std::string(*value), std::move(origin)});
    return {};
  }

  Status unknown(std::string_view arg) const {
    std::vector<std::string> names;
    for (const Setting* setting : known_) {
      names.push_back(fmt::format("--{}", setting->flag));
    }
    const std::vector<std::string_view> views(names.begin(), names.end());
    return fail(ErrorKind::configuration,
                fmt::format("no such option{}; 'culvert {} --help' lists all",
                            did_you_mean(arg, views), info(command_).name),
                std::string(arg));
  }

  Command command_;
  std::span<const std::string_view> args_;
  std::vector<const Setting*> known_;
  Arguments result_;
};

}  // namespace

Result<Arguments> parse_arguments(Command command, std::span<const std::string_view> args) {
  return Parser(command, args).run();
}

}  // namespace culvert::settings
