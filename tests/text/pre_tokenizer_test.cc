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
  pre_tokenizer.Split(text, true, workspace, [&](std::string_view piece) {
    joined += piece;
    pieces.append("[").append(piece).append("]");
  });
  EXPECT_EQ(joined, text) << "pieces together must be the text";
  return pieces;
}

TEST(PreTokenizer, MatchesAndGapsArePieces) {
  EXPECT_EQ(Pieces({{"[0-9]+"}}, "ab12cd3"), "[ab][12][cd][3]");
  EXPECT_EQ(Pieces({}, "anything at all"), "[anything at all]");
  EXPECT_EQ(Pieces({{"x*"}}, "axxb"), "[a][xx][b]");
  EXPECT_EQ(Pieces({{"(?=[A-Z])"}}, "oneTwoThree"), "[one][Two][Three]") << "an empty match cuts, too";
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
    pre_tokenizer.Split(text, true, workspace, [&](std::string_view piece) { joined += piece; });
    ASSERT_EQ(joined, text);
  }
}

// What is joined need not be the text here.
std::string Kept(const PreTokenizerStep& step, std::string_view text, bool first = true) {
  const PreTokenizer pre_tokenizer({step}, "test");
  PreTokenizerWorkspace workspace = pre_tokenizer.MakeWorkspace();
  std::string pieces;
  pre_tokenizer.Split(text, first, workspace, [&](std::string_view piece) { pieces.append("[").append(piece) += "]"; });
  return pieces;
}

TEST(PreTokenizer, EachBehaviourPutsMatchesWhereItSays) {
  const auto behaves = [](SplitBehavior behavior, bool invert) {
    return Kept({.pattern = "-", .literal = true, .behavior = behavior, .invert = invert}, "the-final--countdown");
  };
  EXPECT_EQ(behaves(SplitBehavior::kIsolated, false), "[the][-][final][-][-][countdown]");
  EXPECT_EQ(behaves(SplitBehavior::kRemoved, false), "[the][final][countdown]");
  EXPECT_EQ(behaves(SplitBehavior::kMergedWithPrevious, false), "[the-][final-][-][countdown]");
  EXPECT_EQ(behaves(SplitBehavior::kMergedWithNext, false), "[the][-final][-][-countdown]");
  EXPECT_EQ(behaves(SplitBehavior::kContiguous, false), "[the][-][final][--][countdown]");
  EXPECT_EQ(behaves(SplitBehavior::kRemoved, true), "[-][-][-]");
  EXPECT_EQ(behaves(SplitBehavior::kMergedWithPrevious, true), "[the][-final][-][-countdown]");
  EXPECT_EQ(behaves(SplitBehavior::kMergedWithNext, true), "[the-][final-][-][countdown]");
  EXPECT_EQ(Kept({.pattern = "[0-9]", .behavior = SplitBehavior::kRemoved, .invert = true}, "none here"), "");
}

TEST(PreTokenizer, KindsOfCharactersAreSteps) {
  using Kind = PreTokenizerStep::Kind;
  EXPECT_EQ(Kept({.kind = Kind::kDigits}, "ab12²x"), "[ab][1][2][²][x]");
  EXPECT_EQ(Kept({.behavior = SplitBehavior::kContiguous, .kind = Kind::kDigits}, "ab12²x"), "[ab][12²][x]");
  EXPECT_EQ(Kept({.kind = Kind::kPunctuation}, "a,$b。"), "[a][,][$][b][。]");
  EXPECT_EQ(Kept({.behavior = SplitBehavior::kRemoved, .kind = Kind::kSpaces}, " a \u3000b\n"), "[a][b]");
  EXPECT_EQ(Kept({.behavior = SplitBehavior::kRemoved, .invert = true, .kind = Kind::kWords}, "one, (two)!! 3_4"),
            "[one][,][(][two][)!!][3_4]");
}

TEST(PreTokenizer, MetaspaceMarksSpaces) {
  const PreTokenizerStep step = {.pattern = "▁", .kind = PreTokenizerStep::Kind::kMetaspace};
  EXPECT_EQ(Kept(step, "a b  c"), "[▁a][▁b][▁][▁c]");
  EXPECT_EQ(Kept(step, " a"), "[▁a]") << "none is added to one that is there";
  EXPECT_EQ(Kept(step, "▁a"), "[▁a]");
  EXPECT_EQ(Kept(step, ""), "");
  PreTokenizerStep first = step;
  first.prepend = PrependScheme::kFirst;
  EXPECT_EQ(Kept(first, "a b"), "[▁a][▁b]");
  EXPECT_EQ(Kept(first, "a b", false), "[a][▁b]") << "this is not the start of a document";
  PreTokenizerStep whole = first;
  whole.cut = false;
  EXPECT_EQ(Kept(whole, "a b"), "[▁a▁b]");
  whole.prepend = PrependScheme::kNever;
  EXPECT_EQ(Kept(whole, "a b"), "[a▁b]");
  // Only the piece at the very start is the first.
  const PreTokenizer both({{",", true}, first}, "test");
  PreTokenizerWorkspace workspace = both.MakeWorkspace();
  std::string pieces;
  both.Split("a,b", true, workspace, [&](std::string_view piece) { pieces.append("[").append(piece) += "]"; });
  EXPECT_EQ(pieces, "[▁a][,][b]");
}

TEST(PreTokenizer, APrefixSpaceIsAddedWhereNoneIs) {
  const PreTokenizerStep step = {.kind = PreTokenizerStep::Kind::kPrefixSpace};
  EXPECT_EQ(Kept(step, "a"), "[ a]");
  EXPECT_EQ(Kept(step, " a"), "[ a]");
  EXPECT_EQ(Kept(step, "\ta"), "[ \ta]");
  EXPECT_EQ(Kept(step, ""), "");
}

TEST(PreTokenizer, RefusesTooManySteps) {
  EXPECT_THROW(PreTokenizer(std::vector<PreTokenizerStep>(17, {"a"}), "test"), Error);
}

}  // namespace
}  // namespace sputnik
