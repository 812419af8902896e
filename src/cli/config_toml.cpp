#include "cli/config_file.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <sstream>

namespace culvert::cli {
namespace {

using settings::Node;

template <typename T>
std::string written(const T& value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

// toml++ bounds the depth of its input itself.
Node to_node(const toml::node& from) {
  Node node;
  node.line = from.source().begin.line;
  if (const auto* table = from.as_table()) {
    for (const auto& [key, member] : *table) {
      node.members.emplace_back(std::string(key.str()), to_node(member));
    }
  } else if (const auto* array = from.as_array()) {
    node.kind = Node::Kind::list;
    for (const toml::node& item : *array) node.items.push_back(to_node(item));
  } else if (const auto* text = from.as_string()) {
    node.kind = Node::Kind::text;
    node.text = text->get();
  } else if (const auto* number = from.as_integer()) {
    node.kind = Node::Kind::number;
    node.text = std::to_string(number->get());
  } else if (const auto* flag = from.as_boolean()) {
    node.kind = Node::Kind::flag;
    node.text = flag->get() ? "true" : "false";
  } else {
    node.kind = Node::Kind::other;
    node.text = "a " + written(from.type());
  }
  return node;
}

}  // namespace

Result<Node> parse_toml(std::string_view text, const std::string& name) {
  try {  // The library is built to throw; nothing above this function sees it.
    return to_node(toml::parse(text, name));
  } catch (const toml::parse_error& error) {
    return fail(ErrorKind::configuration, fmt::format("not TOML: {}", error.description()),
                fmt::format("{}:{}", name, error.source().begin.line));
  }
}

}  // namespace culvert::cli
