#include "settings/help.h"

#include <gtest/gtest.h>

#include <sstream>

namespace culvert::settings {
namespace {

TEST(Help, tells_roles_what_they_do_while_they_run) {
  EXPECT_NE(help(Command::server).find("SIGHUP"), std::string::npos);
  EXPECT_NE(help(Command::client).find("[[servers]]"), std::string::npos);
  EXPECT_EQ(help(Command::status).find("SIGHUP"), std::string::npos);
}

TEST(Help, lists_every_setting_of_a_command_and_no_other) {
  for (const CommandInfo& command : commands()) {
    const std::string text = help(command.command);
    EXPECT_NE(text.find(command.summary), std::string::npos);
    for (const Setting& s : table()) {
      const std::string flag = "--" + std::string(s.flag) + (s.placeholder.empty() ? "" : " ");
      const bool belongs = (s.commands & bit(command.command)) != 0;
      if (belongs) {
        EXPECT_NE(text.find(flag), std::string::npos) << command.name << " " << flag;
      }
    }
  }
  EXPECT_EQ(help(Command::client).find("--allowed-tcp"), std::string::npos);
}

TEST(Help, fits_a_terminal) {
  for (const CommandInfo& command : commands()) {
    std::istringstream lines(help(command.command));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100U) << line;
  }
}

TEST(Help, overview_of_a_word_names_the_commands_that_begin_with_it) {
  const std::string key = group_overview("key");
  EXPECT_NE(key.find("key generate"), std::string::npos);
  EXPECT_NE(key.find("key show"), std::string::npos);
  EXPECT_EQ(key.find("token"), std::string::npos);
  EXPECT_EQ(group_overview("ke"), "");
  EXPECT_EQ(group_overview("server"), "");
}

TEST(Help, overview_names_every_command_and_the_exit_codes) {
  const std::string text = overview();
  for (const CommandInfo& command : commands()) {
    EXPECT_NE(text.find(command.name), std::string::npos);
  }
  for (const char* code :
       {"2 configuration", "3 authentication", "10 could not connect", "11 lost"}) {
    EXPECT_NE(text.find(code), std::string::npos);
  }
}

TEST(Markdown, holds_every_flag_variable_and_key) {
  const std::string text = markdown();
  for (const Setting& s : table()) {
    EXPECT_NE(text.find("--" + std::string(s.flag)), std::string::npos) << s.flag;
    EXPECT_NE(text.find(s.environment), std::string::npos) << s.flag;
    EXPECT_NE(text.find(key_of(s)), std::string::npos) << s.flag;
  }
}

TEST(Completion, offers_commands_and_flags_in_every_shell) {
  EXPECT_FALSE(shell_of("tcsh"));
  for (const char* name : {"bash", "zsh", "fish"}) {
    ASSERT_TRUE(shell_of(name));
    const std::string script = completion(*shell_of(name));
    for (const char* word : {"server", "client", "allowed-tcp", "congestion-controller"}) {
      EXPECT_NE(script.find(word), std::string::npos) << name << " " << word;
    }
  }
}

}  // namespace
}  // namespace culvert::settings
