// A configuration file as a tree, whatever it was written in: cli/ makes it from TOML or
// JSON, the resolver reads it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace culvert::settings {

struct Node {
  enum class Kind : std::uint8_t { text, number, flag, list, table, other };

  Kind kind = Kind::table;
  std::string text{};         // text as it is; numbers and flags as written; other: its type's name
  std::vector<Node> items{};  // list
  std::vector<std::pair<std::string, Node>> members{};  // table, in the order of the file
  std::uint32_t line = 0;                               // 0: not known
};

}  // namespace culvert::settings
