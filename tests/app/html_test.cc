#include "app/html.h"

#include <gtest/gtest.h>

namespace sputnik {
namespace {

TEST(Html, EscapesWhatMeansSomethingInAPage) {
  EXPECT_EQ(EscapeHtml("<script>a&b</script>"), "&lt;script&gt;a&amp;b&lt;/script&gt;");
  EXPECT_EQ(EscapeHtml("\"'"), "&quot;&#39;");
  EXPECT_EQ(EscapeHtml("zwölf\n\t→"), "zwölf\n\t→");
}

TEST(Html, ShowsControlCharacters) {
  EXPECT_EQ(EscapeHtml(std::string_view("a\0b", 3)), "a\u2400b");
  EXPECT_EQ(EscapeHtml("\x1b\x7f"), "\u241b\u2421");
}

TEST(Html, ShortensBetweenCharacters) {
  EXPECT_EQ(Shortened("abc", 3), "abc");
  EXPECT_EQ(Shortened("abcd", 3), "abc […]");
  EXPECT_EQ(Shortened("aöb", 2), "a […]");  // ö takes two bytes
}

TEST(Html, GroupsDigits) {
  EXPECT_EQ(GroupedNumber(int64_t{0}), "0");
  EXPECT_EQ(GroupedNumber(int64_t{123}), "123");
  EXPECT_EQ(GroupedNumber(int64_t{1234567}), "1,234,567");
  EXPECT_EQ(GroupedNumber(1234.56, 1), "1,234.6");
  EXPECT_EQ(GroupedNumber(-1234.5, 2), "\u22121,234.50");
  EXPECT_EQ(PercentText(0.9345), "93.5%");
}

TEST(Html, NothingDrawnIsNoFigure) {
  EXPECT_EQ(Figure("caption", ""), "");
  EXPECT_EQ(Grid(""), "");
  EXPECT_EQ(Figure("a < b", "<svg></svg>"), "<figure>\n<figcaption>a &lt; b</figcaption>\n<svg></svg></figure>\n");
}

}  // namespace
}  // namespace sputnik
