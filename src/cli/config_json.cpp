#include "base/limits.h"
#include "cli/config_file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace culvert::cli {
namespace {

using nlohmann::json;
using settings::Node;

Node to_node(const json& from) {
  Node node;
  if (from.is_object()) {
    for (const auto& [key, member] : from.items()) node.members.emplace_back(key, to_node(member));
  } else if (from.is_array()) {
    node.kind = Node::Kind::list;
    for (const json& item : from) node.items.push_back(to_node(item));
  } else if (from.is_string()) {
    node.kind = Node::Kind::text;
    node.text = from.get<std::string>();
  } else if (from.is_number_integer()) {
    node.kind = Node::Kind::number;
    node.text = from.dump();
  } else if (from.is_boolean()) {
    node.kind = Node::Kind::flag;
    node.text = from.get<bool>() ? "true" : "false";
  } else {
    node.kind = Node::Kind::other;
    node.text = fmt::format("a {}", from.type_name());
  }
  return node;
}

}  // namespace

Result<Node> parse_json(std::string_view text, const std::string& name) {
  bool is_too_deep = false;
  const json::parser_callback_t bound_depth = [&](int depth, json::parse_event_t, json&) {
    is_too_deep |= depth > static_cast<int>(limits::kMaxConfigDepth);
    return !is_too_deep;  // deeper values are not built
  };
  const json parsed = json::parse(text, bound_depth, false, true);
  if (is_too_deep) {
    return fail(ErrorKind::configuration,
                fmt::format("nests deeper than {} levels", limits::kMaxConfigDepth), name);
  }
  if (parsed.is_discarded()) {
    // The library's messages come as exceptions only; the line is what helps most.
    const bool is_cut = !is_complete_object(text);
    return fail(ErrorKind::configuration,
                is_cut ? "not JSON: the object does not end" : "not JSON: syntax error", name);
  }
  if (!parsed.is_object()) {
    return fail(ErrorKind::configuration, "needs one JSON object", name);
  }
  return to_node(parsed);
}

}  // namespace culvert::cli
