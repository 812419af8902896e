#include "settings/value.h"

#include "settings/suggest.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::settings {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Duration, reads_units_and_prints_what_people_write) {
  const std::pair<const char*, Duration> cases[] = {
      {"500ms", milliseconds(500)}, {"30s", seconds(30)},  {"30", seconds(30)},
      {"5m", seconds(300)},         {"2h", seconds(7200)}, {"0", seconds(0)}};
  for (const auto& [text, duration] : cases) {
    EXPECT_EQ(parse_duration(text), duration) << text;
    EXPECT_EQ(parse_duration(duration_text(duration)), duration) << text;
  }
  EXPECT_EQ(duration_text(seconds(90)), "90s");
  EXPECT_EQ(duration_text(seconds(600)), "10m");
  for (const char* text : {"", "s", "-1s", "1.5s", "5 s", "5d", "1e3", "99999999999999999999s",
                           "9223372036854775807h"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Flag, reads_the_usual_words) {
  for (const char* text : {"true", "YES", "on", "1"}) EXPECT_EQ(parse_flag(text), true) << text;
  for (const char* text : {"false", "No", "OFF", "0"}) EXPECT_EQ(parse_flag(text), false) << text;
  for (const char* text : {"", "2", "maybe"}) EXPECT_FALSE(parse_flag(text)) << text;
}

TEST(Number, reads_whole_numbers_only) {
  EXPECT_EQ(parse_number("42"), 42);
  for (const char* text : {"", "-", "4x", " 4", "0x10", "99999999999999999999"}) {
    EXPECT_FALSE(parse_number(text)) << text;
  }
}

TEST(CheckValue, names_range_and_choices) {
  const Status sessions = check_value(setting(Id::max_sessions), "0", "--max-sessions");
  ASSERT_FALSE(sessions);
  EXPECT_TRUE(sessions.error().text().starts_with("--max-sessions: ")) << sessions.error().text();
  EXPECT_NE(sessions.error().text().find("1 to 1000000"), std::string::npos);
  const Status congestion = check_value(setting(Id::congestion_controller), "reno", "here");
  ASSERT_FALSE(congestion);
  EXPECT_NE(congestion.error().text().find("cubic"), std::string::npos);
  EXPECT_TRUE(check_value(setting(Id::congestion_controller), "bbr", "here"));
}

// Every default in the table is a value that the setting takes.
TEST(Table, has_valid_defaults_and_unique_names) {
  std::vector<std::string_view> keys;
  std::vector<std::string_view> variables;
  for (const Setting& s : table()) {
    EXPECT_EQ(setting(s.id).flag, s.flag);
    if (!s.fallback.empty()) {
      EXPECT_TRUE(check_value(s, s.fallback, "default")) << s.flag;
    }
    EXPECT_FALSE(s.help.empty()) << s.flag;
    EXPECT_NE(s.commands, 0U) << s.flag;
    if (!s.key.empty()) keys.push_back(s.key);
    if (!s.environment.empty()) variables.push_back(s.environment);
    if (s.is_secret) {
      EXPECT_FALSE(s.environment.empty()) << s.flag;
    }
  }
  for (auto* names : {&keys, &variables}) {
    std::ranges::sort(*names);
    EXPECT_EQ(std::ranges::adjacent_find(*names), names->end());
  }
  for (const CommandInfo& command : commands()) {
    std::vector<std::string_view> flags;
    std::vector<char> letters;
    for (const Setting& s : table()) {
      if ((s.commands & bit(command.command)) == 0) continue;
      flags.push_back(s.flag);
      if (!s.flag_alias.empty()) flags.push_back(s.flag_alias);
      if (s.letter != 0) letters.push_back(s.letter);
    }
    std::ranges::sort(flags);
    std::ranges::sort(letters);
    EXPECT_EQ(std::ranges::adjacent_find(flags), flags.end()) << command.name;
    EXPECT_EQ(std::ranges::adjacent_find(letters), letters.end()) << command.name;
  }
}

TEST(Suggest, finds_the_nearest_and_nothing_far) {
  const std::string_view names[] = {"listen", "log-format", "max-flows"};
  EXPECT_EQ(nearest("lisen", names), "listen");
  EXPECT_EQ(nearest("max-flow", names), "max-flows");
  EXPECT_EQ(nearest("zebra", names), "");
  EXPECT_EQ(nearest("", names), "");
}

}  // namespace
}  // namespace culvert::settings
