#include "text/added_tokens.h"

#include <gtest/gtest.h>

namespace sputnik {
namespace {

std::string Found(const std::vector<std::string>& contents, std::string_view text) {
  std::vector<AddedToken> tokens;
  for (const std::string& content : contents) tokens.push_back({.content = content});
  const AddedTokenMatcher matcher(tokens);
  std::string found;
  AddedTokenMatcher::Match match;
  for (size_t from = 0; matcher.Find(text, from, &match); from = match.end) {
    EXPECT_EQ(text.substr(match.begin, match.end - match.begin), contents[match.token]);
    found += std::to_string(match.begin) + contents[match.token] + " ";
  }
  return found;
}

TEST(AddedTokens, FindsTheLeftmostAndThereTheLongest) {
  EXPECT_EQ(Found({"ab", "abc", "bcd"}, "abcd"), "0abc ");
  EXPECT_EQ(Found({"abcx", "bc", "ab"}, "abcd"), "0ab ");
  EXPECT_EQ(Found({"aa"}, "aaaaa"), "0aa 2aa ");
  EXPECT_EQ(Found({"<think>", "</think>"}, "<think<think>x</think></thin"), "6<think> 14</think> ");
}

TEST(AddedTokens, FindsNothingWhereThereIsNothing) {
  EXPECT_EQ(Found({}, "abc"), "");
  EXPECT_EQ(Found({"abc"}, ""), "");
  EXPECT_EQ(Found({"abc"}, "ab"), "");
  EXPECT_EQ(Found({"\xFF\xFE"}, "a\xFF\xFE z"), "1\xFF\xFE ");
}

TEST(AddedTokens, ASingleWordHasNoWordCharacterBesideIt) {
  EXPECT_TRUE(IsSingleWord("one", 0, 3));
  EXPECT_TRUE(IsSingleWord(" one,", 1, 4));
  EXPECT_FALSE(IsSingleWord("éone", 2, 5));
  EXPECT_FALSE(IsSingleWord("one\u0301", 0, 3));
  EXPECT_FALSE(IsSingleWord("one_", 0, 3));
  EXPECT_TRUE(IsSingleWord("\xFFone\xFF", 1, 4));
}

}  // namespace
}  // namespace sputnik
