#include "cli/version.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <sstream>
#include <string>
#include <string_view>

namespace culvert::cli {
namespace {

std::string printed(std::span<const std::string_view> args) {
  testing::internal::CaptureStdout();
  const Status status = cmd_version(args);
  std::string text = testing::internal::GetCapturedStdout();
  EXPECT_TRUE(status) << status.error().text();
  return text;
}

TEST(Version, begins_with_the_line_that_scripts_read) {
  const std::string text = printed({});
  EXPECT_EQ(text.substr(0, text.find('\n')), "culvert " CULVERT_TEST_VERSION);
}

TEST(Version, names_commit_compiler_and_libraries) {
  const std::string text = printed({});
  for (const char* word : {"\ncommit ", "\ncompiler ", "ngtcp2 1.", "GnuTLS 3.", "c-ares 1.",
                           "\nencryption ", "culvert/1", "mf/4"}) {
    EXPECT_NE(text.find(word), std::string::npos) << word << " in\n" << text;
  }
}

TEST(Version, says_the_same_as_json) {
  constexpr std::array<std::string_view, 1> kArgs{"--json"};
  const auto json = nlohmann::json::parse(printed(kArgs));
  const std::string text = printed({});
  for (const auto& [name, value] : json.items()) {
    if (!value.is_string()) continue;
    EXPECT_NE(text.find(value.get<std::string>()), std::string::npos) << name;
  }
  EXPECT_EQ(json.at("version"), CULVERT_TEST_VERSION);
  EXPECT_EQ(json.at("protocols").size(), 2U);
}

TEST(Version, refuses_what_it_does_not_know) {
  constexpr std::array<std::string_view, 1> kArgs{"--yaml"};
  const Status status = cmd_version(kArgs);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().offender, "--yaml");
}

}  // namespace
}  // namespace culvert::cli
