#include "cli/screen.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace culvert::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string numbered(int lines) {
  std::string text;
  for (int i = 1; i <= lines; ++i) text += (i > 1 ? "\nline" : "line") + std::to_string(i);
  return text;
}

TEST(Clipped, counts_characters_and_no_colours) {
  EXPECT_EQ(clipped("abcdef", 4), "abcd");
  EXPECT_EQ(clipped("abc", 4), "abc");
  EXPECT_EQ(clipped("", 4), "");
  EXPECT_EQ(clipped("\xc3\xa4\xc3\xb6\xc3\xbc", 2), "\xc3\xa4\xc3\xb6");
  EXPECT_EQ(clipped("\x1b[31mfailed\x1b[0m: why", 3), "\x1b[31mfai\x1b[0m");
  EXPECT_EQ(clipped("\x1b[31mfailed\x1b[0m: why", 8), "\x1b[31mfailed\x1b[0m: ");
  EXPECT_EQ(clipped("a\x1b[3", 9), "a\x1b[3");  // no colour without an end
}

TEST(Screen, draws_what_fits_whole) {
  Scroll scroll;
  EXPECT_EQ(screen_text("a\nb", {.rows = 2, .columns = 80}, scroll),
            "\x1b[Ha\x1b[K\nb\x1b[K\x1b[J");
}

TEST(Screen, draws_no_more_lines_and_columns_than_there_are) {
  for (std::size_t rows = 0; rows < 40; ++rows) {
    Scroll scroll;
    const std::string drawn = screen_text(numbered(30), {.rows = rows, .columns = 7}, scroll);
    const auto lines = 1 + std::ranges::count(drawn, '\n');
    EXPECT_LE(lines, std::max<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(rows), 1));
  }
  Scroll scroll;
  const std::string drawn = screen_text(std::string(500, 'x'), {.rows = 3, .columns = 80}, scroll);
  EXPECT_EQ(std::ranges::count(drawn, 'x'), 80);
}

TEST(Screen, scrolls_and_says_where_it_is) {
  Scroll scroll;
  const ScreenSize size{.rows = 11, .columns = 80};
  const auto drawn = [&](std::string_view keys) {
    EXPECT_TRUE(scroll.handle_keys(keys));
    return screen_text(numbered(30), size, scroll);
  };
  EXPECT_THAT(drawn(""), HasSubstr("lines 1 to 10 of 30"));
  EXPECT_THAT(drawn("\x1b[B"), HasSubstr("lines 2 to 11 of 30"));
  EXPECT_THAT(drawn("jj"), HasSubstr("lines 4 to 13 of 30"));
  EXPECT_THAT(drawn("\x1b[A"), HasSubstr("lines 3 to 12 of 30"));
  EXPECT_THAT(drawn("\x1b[6~"), HasSubstr("lines 12 to 21 of 30"));
  EXPECT_THAT(drawn("\x1b[5~"), HasSubstr("lines 3 to 12 of 30"));
  EXPECT_THAT(drawn("G"), HasSubstr("lines 21 to 30 of 30"));
  EXPECT_THAT(drawn("jjjjk"), HasSubstr("lines 20 to 29 of 30"));  // not beyond the end and back
  EXPECT_THAT(drawn("\x1b[H"), HasSubstr("lines 1 to 10 of 30"));
  EXPECT_THAT(drawn("kkkkj"), HasSubstr("lines 2 to 11 of 30"));
  EXPECT_THAT(drawn("g\x1b"), HasSubstr("lines 1 to 10 of 30"));
  EXPECT_THAT(drawn("["), HasSubstr("lines 1 to 10 of 30"));
  EXPECT_THAT(drawn("B"), HasSubstr("lines 2 to 11 of 30"));           // the rest of a sequence
  EXPECT_THAT(drawn("\x1b[1;5Cj"), HasSubstr("lines 3 to 12 of 30"));  // one that means nothing
}

TEST(Screen, comes_back_when_the_text_gets_shorter) {
  Scroll scroll;
  const ScreenSize size{.rows = 5, .columns = 80};
  EXPECT_TRUE(scroll.handle_keys("G"));
  EXPECT_THAT(screen_text(numbered(30), size, scroll), HasSubstr("line30"));
  const std::string drawn = screen_text(numbered(3), size, scroll);
  EXPECT_THAT(drawn, HasSubstr("line1"));
  EXPECT_THAT(drawn, Not(HasSubstr("scroll")));
}

TEST(Scroll, ends_with_q) {
  Scroll scroll;
  EXPECT_TRUE(scroll.handle_keys("xyz\x1b[B"));
  EXPECT_FALSE(scroll.handle_keys("jq"));
  EXPECT_FALSE(scroll.handle_keys("\x04"));
}

}  // namespace
}  // namespace culvert::cli
