#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"

namespace sputnik {
namespace {

std::string Pieces(std::vector<PreTokenizerStep> steps, std::string_view text) {
  const PreTokenizer pre_tokenizer(std::move(steps), "test");
  PreTokenizerWorkspace workspace = pre_tokenizer.MakeWorkspace();
  std::string pieces, joined;
  pre_tokenizer.Split(text, workspace, [&](std::string_view piece) {
    joined += piece;
    pieces.append("[").append(piece).append("]");
  });
  EXPECT_EQ(joined, text) << "pieces together must be the text";
  return pieces;
}

TEST(PreTokenizer, MatchesAndGapsArePieces) {
  EXPECT_EQ(Pieces({{"[0-9]+"}}, "ab12cd3"), "[ab][12][cd][3]");
  EXPECT_EQ(Pieces({}, "anything at all"), "[anything at all]");
  EXPECT_EQ(Pieces({{"x*"}}, "axxb"), "[a][xx][b]") << "empty matches are none";
  EXPECT_EQ(Pieces({{"a.c", true}}, "a.cabc"), "[a.c][abc]") << "a plain string is no expression";
}

TEST(PreTokenizer, EachStepSeesOnlyItsPiece) {
  // At the end of the first step's piece there is no more text to look ahead into.
  EXPECT_EQ(Pieces({{"[0-9]"}, {R"(\s+(?!\S)|\s+)"}}, "a  1  b"), "[a][  ][1][ ][ ][b]");
}

TEST(PreTokenizer, WhiteSpaceIsUnicodes) {
  EXPECT_EQ(Pieces({{R"(\s+)"}}, "a\u0085\u00A0\u3000\u2028b"), "[a][\u0085\u00A0\u3000\u2028][b]");
  EXPECT_EQ(Pieces({{R"(\s+)"}}, "a\u180Eb"), "[a\u180Eb]") << "U+180E is no white space since Unicode 6.3";
  EXPECT_EQ(Pieces({{R"([^\s]+)"}}, "a b"), "[a][ ][b]");
  EXPECT_EQ(Pieces({{R"(\S)"}}, "ab c"), "[a][b][ ][c]");
}

TEST(PreTokenizer, InvalidBytesAreTheirOwnPieces) {
  EXPECT_EQ(Pieces({{R"(\p{L}+)"}}, "ab\xFF\xFE\xE6\x97z"), "[ab][\xFF][\xFE][\xE6][\x97][z]");
}

TEST(PreTokenizer, RandomBytesComeThroughWhole) {
  Random random(5, kStreamTest);
  const PreTokenizer pre_tokenizer({{R"(\p{N}{1,3})"}, {R"( ?\p{L}+|\s+(?!\S))"}}, "test");
  PreTokenizerWorkspace workspace = pre_tokenizer.MakeWorkspace();
  for (int i = 0; i < 500; ++i) {
    std::string text, joined;
    for (int k = 0; k < 100; ++k) text += static_cast<char>(random.Below(256));
    pre_tokenizer.Split(text, workspace, [&](std::string_view piece) { joined += piece; });
    ASSERT_EQ(joined, text);
  }
}

TEST(PreTokenizer, RefusesWhatTheTwoDialectsReadDifferently) {
  for (const char* pattern :
       {"^a",      "a$",     "a.c",     R"(\d+)",          R"(\w)",   R"(\bx)", R"((a)\1)", "[[:alpha:]]",
        "[a&&b]",  "(?m:a)", "(?<x>a)", R"(\p{L}{2,3}+)",  "(*UTF)a", "[]a]",   R"(\h)",    "a\\",
        R"([\S])", "(a",     "[a",      R"(\p{Nonsense})", R"(\p{L)", ""}) {
    try {
      const PreTokenizer pre_tokenizer({{pattern}}, "some/tokenizer.json");
      ADD_FAILURE() << pattern << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kBadInput);
      EXPECT_NE(std::string(error.what()).find("some/tokenizer.json"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(PreTokenizer(std::vector<PreTokenizerStep>(17, {"a"}), "test"), Error);
  EXPECT_THROW(PreTokenizer({{std::string(70000, 'a')}}, "test"), Error);
}

TEST(PreTokenizer, ARunawayPatternEndsWithAnError) {
  const PreTokenizer pre_tokenizer({{"(?:a+a+)+[bc]"}}, "some/tokenizer.json");
  PreTokenizerWorkspace workspace = pre_tokenizer.MakeWorkspace();
  EXPECT_THROW(pre_tokenizer.Split(std::string(5000, 'a'), workspace, [](std::string_view) {}), Error);
}

}  // namespace
}  // namespace sputnik
