#include "session/token.h"

#include "base/limits.h"
#include "base/rng.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace culvert::session {
namespace {

// docs/protocol/mf-4.md, vectors: the random bytes are 32 x 0xab.
constexpr std::string_view kTokenText = "iq6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6v7NA";

std::string error_of(std::string_view text) {
  const auto parsed = parse_token(text, "tokens:3");
  EXPECT_FALSE(parsed) << text;
  return parsed ? "" : parsed.error().text();
}

TEST(Token, reads_the_form_of_tunnel_rs) {
  const auto parsed = parse_token(kTokenText, "here");
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_EQ(parsed->reveal(), kTokenText);
}

TEST(Token, is_made_valid_and_new_each_time) {
  SeededRng rng(1);
  const Token first = generate_token(rng);
  const Token second = generate_token(rng);
  EXPECT_NE(first.reveal(), second.reveal());
  EXPECT_EQ(first.reveal().size(), kTokenLength);
  EXPECT_EQ(parse_token(first.reveal(), "x").value().reveal(), first.reveal());
}

TEST(Token, says_what_is_wrong_and_never_the_token) {
  SeededRng rng(2);
  const std::string good = generate_token(rng).reveal();
  EXPECT_NE(error_of("").find("47 characters, this has 0"), std::string::npos);
  EXPECT_NE(error_of(good + "x").find("this has 48"), std::string::npos);
  std::string bad = good;
  bad[0] = 'j';
  EXPECT_NE(error_of(bad).find("begins with 'i'"), std::string::npos);
  bad = good;
  bad[20] = '!';
  EXPECT_NE(error_of(bad).find("outside"), std::string::npos);
  // Any one mistyped character is found.
  for (std::size_t i = 1; i < good.size(); ++i) {
    bad = good;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    const std::string error = error_of(bad);
    EXPECT_TRUE(error.starts_with("tokens:3: ")) << error;
    EXPECT_EQ(error.find(bad.substr(4, 12)), std::string::npos);
  }
}

TEST(TokenSet, reads_a_file_with_comments) {
  SeededRng rng(3);
  const std::string a = generate_token(rng).reveal();
  const std::string b = generate_token(rng).reveal();
  const auto set = TokenSet::parse("# team\n" + a + " # alice\n\n  " + b + "\t\r\n#" + a, "file");
  ASSERT_TRUE(set) << set.error().text();
  EXPECT_EQ(set->size(), 2U);
  EXPECT_TRUE(set->contains(a));
  EXPECT_TRUE(set->contains(b));
  EXPECT_FALSE(set->contains(generate_token(rng).reveal()));
  EXPECT_FALSE(set->contains(a.substr(0, 46)));
  EXPECT_FALSE(set->contains(""));
}

TEST(TokenSet, names_the_bad_line_and_has_a_bound) {
  SeededRng rng(4);
  const std::string good = generate_token(rng).reveal() + "\n";
  const auto bad = TokenSet::parse(good + "\nshort\n", "file");
  ASSERT_FALSE(bad);
  EXPECT_TRUE(bad.error().text().starts_with("file:3: ")) << bad.error().text();
  EXPECT_FALSE(TokenSet::parse(std::string(limits::kMaxTokenFileBytes + 1, '\n'), "file"));
  TokenSet full;
  for (std::size_t i = 0; i < limits::kMaxTokens; ++i) ASSERT_TRUE(full.add(Token("x")));
  EXPECT_FALSE(full.add(Token("x")));
  EXPECT_TRUE(TokenSet::parse("", "file")->is_empty());
}

}  // namespace
}  // namespace culvert::session
