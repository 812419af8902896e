#include "base/printable.h"

#include <gtest/gtest.h>

#include <string>

namespace culvert {
namespace {

TEST(Printable, keeps_words_of_any_language) {
  for (const std::string text : {"", "plain ASCII ~", "\u00fcber \u00a0 \u65e5\u672c \U0001f600"}) {
    EXPECT_EQ(printable(text), text);
    EXPECT_TRUE(is_printable(text));
  }
}

TEST(Printable, replaces_what_a_terminal_acts_upon) {
  EXPECT_EQ(printable("a\tb\n\x1b[2J\x7f"), "a?b??[2J?");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a?b");
  // CSI, OSC and ST as single C1 characters.
  EXPECT_EQ(printable("\u0080 \u009b31m \u009d0;x\u009c \u009f", ' '), "   31m  0;x   ");
  EXPECT_EQ(printable("\u2028\u2029\u202e\u2066\u200f\u061c"), "??????");
  EXPECT_FALSE(is_printable("a\u009b"));
}

TEST(Printable, replaces_each_byte_that_is_no_utf8) {
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "?31m");  // C1 of an eight-bit terminal
  EXPECT_EQ(printable("\xff\xfe"), "??");
  EXPECT_EQ(printable("\xc0\x9b"), "??");       // overlong ESC
  EXPECT_EQ(printable("\xe0\x82\x9b"), "???");  // overlong CSI
  EXPECT_EQ(printable("\xf0\x80\x82\x9b"), "????");
  EXPECT_EQ(printable("\xed\xa0\x80"), "???");       // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "????");  // above U+10FFFF
  EXPECT_EQ(printable("cut \xe6\x97"), "cut ??");
}

}  // namespace
}  // namespace culvert
