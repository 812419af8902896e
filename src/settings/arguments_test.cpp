#include "settings/arguments.h"

#include <gtest/gtest.h>

#include <initializer_list>

namespace culvert::settings {
namespace {

Result<Arguments> parse(Command command, std::initializer_list<std::string_view> args) {
  const std::vector<std::string_view> list(args);
  return parse_arguments(command, list);
}
std::string error_of(Command command, std::initializer_list<std::string_view> args) {
  const auto parsed = parse(command, args);
  EXPECT_FALSE(parsed);
  if (parsed) return "";
  EXPECT_EQ(parsed.error().kind, ErrorKind::configuration);
  return parsed.error().text();
}
bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST(Arguments, reads_every_spelling) {
  const auto parsed = parse(Command::client, {"--source", "tcp://h:1", "--target=127.0.0.1:1", "-n",
                                              "id", "-nid2", "-vv", "--json"});
  ASSERT_TRUE(parsed) << parsed.error().text();
  std::vector<std::pair<Id, std::string>> got;
  for (const Argument& argument : parsed->settings) {
    got.emplace_back(argument.setting->id, argument.value);
  }
  const std::vector<std::pair<Id, std::string>> want = {
      {Id::source, "tcp://h:1"},   {Id::target, "127.0.0.1:1"}, {Id::server_node_id, "id"},
      {Id::server_node_id, "id2"}, {Id::verbose, "true"},       {Id::verbose, "true"},
      {Id::json, "true"}};
  EXPECT_EQ(got, want);
  EXPECT_EQ(parsed->settings[2].origin, "-n");
}

TEST(Arguments, keeps_operands_and_stops_at_two_dashes) {
  const auto parsed = parse(Command::ticket, {"TICKET", "--", "--json"});
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(parsed->operands, (std::vector<std::string>{"TICKET", "--json"}));
}

TEST(Arguments, knows_help) {
  EXPECT_TRUE(parse(Command::server, {"--help"})->wants_help);
  EXPECT_TRUE(parse(Command::server, {"-h"})->wants_help);
}

TEST(Arguments, says_what_is_wrong_and_what_was_meant) {
  EXPECT_TRUE(contains(error_of(Command::server, {"--alowed-tcp", "x"}), "--allowed-tcp"));
  EXPECT_TRUE(contains(error_of(Command::client, {"--nonsense-nobody-means"}), "--help"));
  EXPECT_TRUE(contains(error_of(Command::client, {"-s"}), "-s"));
  EXPECT_TRUE(contains(error_of(Command::client, {"--json=perhaps"}), "--json"));
  EXPECT_TRUE(contains(error_of(Command::client, {"-Z"}), "-Z"));
  EXPECT_TRUE(contains(error_of(Command::server, {"--max-sessions", "0"}), "1 to 1000000"));
  // A flag of another command.
  EXPECT_TRUE(
      contains(error_of(Command::client, {"--allowed-tcp", "10.0.0.0/8"}), "--allowed-tcp"));
}

TEST(Arguments, takes_no_secret_and_does_not_repeat_it) {
  for (const auto& error : {error_of(Command::client, {"--auth-token", "iSECRET"}),
                            error_of(Command::client, {"--auth-token=iSECRET"}),
                            error_of(Command::server, {"--secret", "iSECRET"})}) {
    EXPECT_FALSE(contains(error, "iSECRET")) << error;
    EXPECT_TRUE(contains(error, "CULVERT_")) << error;
  }
}

}  // namespace
}  // namespace culvert::settings
