#include "settings/man.h"

#include "settings/table.h"

#include <gtest/gtest.h>

#include <sstream>

namespace culvert::settings {
namespace {

std::string page(std::string_view name) {
  const auto text = man_page(name, "1.2.3");
  EXPECT_TRUE(text) << name;
  return text.value_or("");
}

// As roff() writes them.
std::string hyphenated(std::string_view text) {
  std::string result;
  for (const char c : text) result += c == '-' ? std::string("\\-") : std::string(1, c);
  return result;
}

TEST(Man, has_a_page_for_the_program_every_command_and_the_file) {
  EXPECT_EQ(man_pages().size(), commands().size() + 2);
  for (const std::string& name : man_pages()) {
    const std::string text = page(name);
    EXPECT_EQ(text.find(".TH "), 0U) << name;
    EXPECT_NE(text.find("\"culvert 1.2.3\""), std::string::npos) << name;
    EXPECT_NE(text.find(".SH NAME\n"), std::string::npos) << name;
  }
  EXPECT_FALSE(man_page("culvert.7", "1.2.3"));
}

TEST(Man, explains_every_flag_variable_and_key_of_a_command) {
  for (const CommandInfo& command : commands()) {
    std::string name = "culvert-" + std::string(command.name) + ".1";
    for (char& c : name) c = c == ' ' ? '-' : c;
    const std::string text = page(name);
    for (const Setting& s : table()) {
      if ((s.commands & bit(command.command)) == 0) continue;
      if (!s.is_secret) {
        EXPECT_NE(text.find(hyphenated("--" + std::string(s.flag))), std::string::npos) << s.flag;
      }
      EXPECT_NE(text.find(s.environment), std::string::npos) << s.environment;
      EXPECT_NE(text.find(hyphenated(key_of(s))), std::string::npos) << s.key;
    }
  }
}

TEST(Man, explains_every_key_of_the_file) {
  const std::string text = page("culvert.toml.5");
  for (const Setting& s : table()) {
    if ((s.commands & kRoles) == 0 || s.is_secret) continue;
    EXPECT_NE(text.find(hyphenated(key_of(s))), std::string::npos) << s.key;
  }
  for (const TunnelKey& key : tunnel_keys()) {
    EXPECT_NE(text.find(hyphenated(key.name)), std::string::npos) << key.name;
  }
}

// A line that begins with a dot or an apostrophe is a request; only ours are.
TEST(Man, lets_no_text_become_a_request) {
  for (const std::string& name : man_pages()) {
    std::istringstream lines(page(name));
    for (std::string line; std::getline(lines, line);) {
      if (line.empty()) ADD_FAILURE() << name << ": an empty line";
      if (!line.starts_with('.') && !line.starts_with('\'')) continue;
      const std::string request = line.substr(0, line.find(' '));
      constexpr std::string_view kOurs = ".TH .SH .SS .TP .TQ .PP .B .I .BR .EX .EE ";
      EXPECT_NE(kOurs.find(request + " "), std::string_view::npos) << name << ": " << line;
    }
  }
}

}  // namespace
}  // namespace culvert::settings
