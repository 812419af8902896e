#include "settings/file_values.h"

#include "settings/value.h"

#include <fmt/format.h>

#include <utility>

namespace culvert::settings {

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

std::string FileValues::where(const Node& node, std::string_view key) const {
  if (node.line == 0) return fmt::format("{}: {}", inputs_.file_name, key);
  return fmt::format("{}:{}: {}", inputs_.file_name, node.line, key);
}

Status FileValues::check_secret(const Setting& setting, const std::string& key,
                                const Node& member) const {
  if (!setting.is_secret || inputs_.file_may_hold_secrets) return {};
  return fail(ErrorKind::configuration,
              fmt::format("secrets do not belong in a configuration file: use {}_file, the "
                          "environment variable {}, or --config-stdin",
                          key, setting.environment),
              where(member, key));
}

Result<std::vector<Value>> FileValues::read(const Setting& setting, const std::string& key,
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

Result<Value> FileValues::read_scalar(const Setting& setting, const std::string& key,
                                      const Node& node) const {
  const std::string origin = where(node, key);
  const bool is_flag = setting.type == Type::flag;
  const bool is_number = setting.type == Type::number || setting.type == Type::size;
  const bool takes_number = is_number || setting.type == Type::duration;
  const bool fits = (node.kind == Node::Kind::flag && is_flag) ||
                    (node.kind == Node::Kind::number && takes_number) ||
                    (node.kind == Node::Kind::text && !is_flag && !is_number);
  if (!fits) {
    const std::string_view wanted = is_flag                          ? "true or false"
                                    : is_number                      ? "a number"
                                    : setting.type == Type::duration ? "a time such as \"30s\""
                                                                     : "text in quotes";
    return fail(ErrorKind::configuration, fmt::format("needs {}, not {}", wanted, kind_text(node)),
                origin);
  }
  CULVERT_CHECK(check_value(setting, node.text, origin));
  return Value{setting.is_path ? located(node.text) : node.text, origin};
}

std::string FileValues::located(const std::string& name) const {
  const bool stays = name.empty() || name == "-" || name[0] == '/' || name.starts_with("~/") ||
                     name.starts_with("credential:");
  return stays ? name : inputs_.directory + name;
}

std::string FileValues::located_target(const std::string& target) const {
  constexpr std::string_view kUnix = "unix:";
  if (!target.starts_with(kUnix)) return target;
  return std::string(kUnix) + located(target.substr(kUnix.size()));
}

}  // namespace culvert::settings
