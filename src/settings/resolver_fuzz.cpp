// Command lines, environments and files of arbitrary text. Lines of the input are arguments;
// the resolver may refuse them, in words that name the offender.
#include "base/assert.h"
#include "settings/resolver.h"
#include "settings/value.h"

namespace {

using namespace culvert;
using namespace culvert::settings;

// A small tree from the same bytes: every line a key with itself as value.
Node tree_of(const std::vector<std::string_view>& lines) {
  Node root;
  for (const std::string_view line : lines) {
    Node leaf{.kind = static_cast<Node::Kind>(line.size() % 6), .text = std::string(line)};
    if (leaf.kind == Node::Kind::list)
      leaf.items.push_back({.kind = Node::Kind::text, .text = std::string(line)});
    const std::size_t dot = line.find('.');
    if (line.starts_with("servers.")) {
      if (root.members.empty() || root.members.back().first != "servers") {
        root.members.emplace_back("servers", Node{.kind = Node::Kind::list});
      }
      Node server;
      server.members.emplace_back("name", Node{.kind = Node::Kind::text, .text = "s"});
      server.members.emplace_back(line.substr(dot + 1), std::move(leaf));
      root.members.back().second.items.push_back(std::move(server));
    } else if (dot == std::string_view::npos) {
      root.members.emplace_back(line, std::move(leaf));
    } else {
      Node inner;
      inner.members.emplace_back(line.substr(dot + 1), std::move(leaf));
      root.members.emplace_back(line.substr(0, dot), std::move(inner));
    }
  }
  return root;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto command = static_cast<Command>(data[0] % commands().size());
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::vector<std::string_view> lines;
  while (!rest.empty() && lines.size() < 64) {
    const std::size_t end = rest.find('\n');
    lines.push_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  auto arguments = parse_arguments(command, lines);
  if (!arguments) {
    CULVERT_ASSERT(!arguments.error().what.empty());
    arguments = Arguments{};
  }
  const Node file = tree_of(lines);
  const auto settings =
      resolve(command, {.arguments = &*arguments,
                        .environment = [&](std::string_view name) -> std::optional<std::string> {
                          if (lines.empty()) return std::nullopt;
                          return std::string(lines[name.size() % lines.size()]);
                        },
                        .file = &file,
                        .file_name = "fuzz",
                        .file_may_hold_secrets = (data[0] & 0x80) != 0});
  if (settings) {
    for (const Setting& s : table()) {
      for (const Value& value : settings->values(s.id))
        CULVERT_ASSERT(check_value(s, value.text, ""));
    }
  } else {
    CULVERT_ASSERT(settings.error().kind == ErrorKind::configuration);
  }
  if (const auto duration = parse_duration(lines.empty() ? "" : lines[0])) {
    CULVERT_ASSERT(parse_duration(duration_text(*duration)) == *duration);
  }
  return 0;
}
