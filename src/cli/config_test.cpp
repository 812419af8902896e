#include "cli/config_file.h"

#include <gtest/gtest.h>

namespace culvert::cli {
namespace {

using settings::Node;

constexpr std::string_view kToml = R"(# a comment
role = "server"
[iroh]
max_sessions = 7
json = true
allowed_tcp = ["10.0.0.0/8", "127.0.0.1"]
when = 2026-01-01
[[iroh.tunnels]]
source = "tcp://db:5432"
)";

const Node* member(const Node& node, std::string_view name) {
  for (const auto& [key, value] : node.members) {
    if (key == name) return &value;
  }
  ADD_FAILURE() << "no member " << name;
  return nullptr;
}

TEST(Toml, becomes_a_tree_that_knows_its_lines) {
  const auto parsed = parse_toml(kToml, "server.toml");
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(member(*parsed, "role")->text, "server");
  const Node& iroh = *member(*parsed, "iroh");
  EXPECT_EQ(member(iroh, "max_sessions")->kind, Node::Kind::number);
  EXPECT_EQ(member(iroh, "max_sessions")->text, "7");
  EXPECT_EQ(member(iroh, "max_sessions")->line, 4U);
  EXPECT_EQ(member(iroh, "json")->kind, Node::Kind::flag);
  EXPECT_EQ(member(iroh, "allowed_tcp")->items.size(), 2U);
  EXPECT_EQ(member(iroh, "when")->kind, Node::Kind::other);
  EXPECT_EQ(member(iroh, "tunnels")->items[0].members[0].second.text, "tcp://db:5432");
}

TEST(Toml, names_the_line_that_is_wrong) {
  const auto parsed = parse_toml("a = 1\nb = = 2\n", "server.toml");
  ASSERT_FALSE(parsed);
  EXPECT_TRUE(parsed.error().text().starts_with("server.toml:2: ")) << parsed.error().text();
  EXPECT_FALSE(parse_toml("a = 1\na = 2\n", "x"));
  EXPECT_FALSE(parse_toml("\xff\xfe", "x"));
}

TEST(Toml, refuses_deep_nesting) {
  const std::string deep = "a = " + std::string(5'000, '[') + std::string(5'000, ']');
  EXPECT_FALSE(parse_toml(deep, "x"));
}

TEST(Json, becomes_the_same_tree) {
  const auto parsed = parse_json(
      R"({"iroh": {"max_sessions": 7, "json": true, "allowed_tcp": ["10.0.0.0/8"], "x": null}})",
      "standard input");
  ASSERT_TRUE(parsed) << parsed.error().text();
  const Node& iroh = *member(*parsed, "iroh");
  EXPECT_EQ(member(iroh, "max_sessions")->text, "7");
  EXPECT_EQ(member(iroh, "json")->kind, Node::Kind::flag);
  EXPECT_EQ(member(iroh, "allowed_tcp")->items[0].text, "10.0.0.0/8");
  EXPECT_EQ(member(iroh, "x")->kind, Node::Kind::other);
}

TEST(Json, refuses_what_is_no_object_or_too_deep) {
  const std::string deep = std::string(5'000, '[') + std::string(5'000, ']');
  for (const std::string& text : {std::string(), std::string("[]"), std::string("1"),
                                  std::string("{"), std::string("{} {}"), "{\"a\":" + deep + "}"}) {
    const auto parsed = parse_json(text, "standard input");
    ASSERT_FALSE(parsed) << text.substr(0, 20);
    EXPECT_EQ(parsed.error().kind, ErrorKind::configuration);
  }
}

TEST(CompleteObject, is_where_braces_balance_outside_of_strings) {
  for (const char* text : {"{}", " {\"a\":{}} ", R"({"a":"}"})", R"({"a":"\"}"})", "{}\n{"}) {
    EXPECT_TRUE(is_complete_object(text)) << text;
  }
  for (const char* text : {"", "{", "{\"a\":{}", R"({"a":"}")", R"({"a":"\"}")", "  "}) {
    EXPECT_FALSE(is_complete_object(text)) << text;
  }
}

}  // namespace
}  // namespace culvert::cli
