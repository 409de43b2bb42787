#include "text/regex.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace sputnik {
namespace {

std::string Matches(const std::string& pattern, std::string_view text, bool literal = false) {
  const Regex regex(pattern, literal, "test");
  RegexWorkspace workspace;
  std::string matches;
  regex.ForEachMatch(text, workspace, [&](size_t begin, size_t end) {
    matches += fmt::format("{}[{}]", begin, text.substr(begin, end - begin));
  });
  return matches;
}

TEST(Regex, FindsMatchesFromTheLeft) {
  EXPECT_EQ(Matches("[0-9]+", "ab12cd3"), "2[12]6[3]");
  EXPECT_EQ(Matches("a.c", "a.cabc", true), "0[a.c]");
  EXPECT_EQ(Matches("x", ""), "");
}

TEST(Regex, EmptyMatchesAreNotNextToAMatch) {
  EXPECT_EQ(Matches("x*", "axxb"), "0[]1[xx]4[]");
  EXPECT_EQ(Matches("(?=é)", "éé"), "0[]2[]");
  EXPECT_EQ(Matches("x*", ""), "0[]");
}

TEST(Regex, PropertiesAreThoseOfUnicode16) {
  EXPECT_EQ(Matches(R"(\p{L}+)", "a\U00010D50\U000323AFb"), "0[a\U00010D50\U000323AFb]") << "Garay, and Han of 15";
  EXPECT_EQ(Matches(R"([^\p{L}])", "a\U00010D50"), "");
  EXPECT_EQ(Matches(R"(\P{L})", "a\U00010D50."), "5[.]");
  EXPECT_EQ(Matches(R"(\p{^L})", "a."), "1[.]");
  EXPECT_EQ(Matches(R"(\d)", "1\U00010D40²"), "0[1]1[\U00010D40]");
  EXPECT_EQ(Matches(R"(\p{Han})", "、漢\U00031350"), "3[漢]6[\U00031350]") << "by script, not by its extensions";
}

TEST(Regex, MayMatchLooksAtFirstBytesOnly) {
  const Regex digits("[0-9]+", false, "test"), empty("(?=a)", false, "test");
  EXPECT_FALSE(digits.MayMatch("abc"));
  EXPECT_TRUE(digits.MayMatch("abc1"));
  EXPECT_TRUE(empty.MayMatch("a"));
}

TEST(Regex, RefusesWhatTheTwoDialectsReadDifferently) {
  for (const char* pattern : {"^a",
                              "a$",
                              "a.c",
                              R"(\w)",
                              R"(\bx)",
                              R"((a)\1)",
                              "[[:alpha:]]",
                              "[a&&b]",
                              "(?m:a)",
                              "(?<x>a)",
                              R"(\p{L}{2,3}+)",
                              "(*UTF)a",
                              "[]a]",
                              R"(\h)",
                              "a\\",
                              R"([\S])",
                              "(a",
                              "[a",
                              R"(\p{Nonsense})",
                              R"(\p{L)",
                              "",
                              R"(\pL)",
                              R"([\P{L}])",
                              R"(\p{Cn})",
                              R"(\p{Latin})",
                              "(?i:str)"}) {
    try {
      const Regex regex(pattern, false, "some/tokenizer.json");
      ADD_FAILURE() << pattern << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      EXPECT_NE(std::string(error.what()).find("some/tokenizer.json"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(Regex(std::string(70000, 'a'), false, "test"), Error);
}

TEST(Regex, ARunawayPatternEndsWithAnError) {
  const Regex regex("(?:a+a+)+[bc]", false, "some/tokenizer.json");
  RegexWorkspace workspace;
  EXPECT_THROW(regex.ForEachMatch(std::string(5000, 'a'), workspace, [](size_t, size_t) {}), Error);
}

}  // namespace
}  // namespace sputnik
