#include "text/token_decoder.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace sputnik {
namespace {

using Kind = DecoderStep::Kind;

const DecoderStep kMarks = {.kind = Kind::kReplace, .pattern = "▁", .content = " ", .literal = true};
const DecoderStep kFallback = {.kind = Kind::kByteFallback};
const DecoderStep kFuse = {.kind = Kind::kFuse};

DecoderStep Strip(int64_t start, int64_t stop) {
  return {.kind = Kind::kStrip, .content = " ", .start = start, .stop = stop};
}

// The tokens one after another, as one text; each alone is given to `each`, too.
std::string Text(std::vector<DecoderStep> steps, const std::vector<std::string>& tokens, bool verbatim = false,
                 std::vector<std::string>* each = nullptr) {
  TokenTable names;
  for (const std::string& token : tokens) names.Add(token);
  const TokenDecoder decoder(std::move(steps), names, std::vector<bool>(tokens.size(), verbatim), "test");
  TokenDecoder::State state;
  std::string text;
  for (int32_t id = 0; id < names.size(); ++id) {
    const size_t before = text.size();
    decoder.Append(id, &state, &text);
    if (each != nullptr) each->push_back(text.substr(before));
  }
  return text;
}

TEST(TokenDecoder, ByteLevelTokensAreBytes) {
  EXPECT_EQ(Text({{}}, {"Ġa", "Ã", "©", "日"}), " a\xC3\xA9日");
  EXPECT_EQ(Text({{}}, {"Ġa"}, true), "Ġa") << "an added token is its own text";
}

TEST(TokenDecoder, TheStepsOfLlama2) {
  EXPECT_EQ(
      Text({kMarks, kFallback, kFuse, Strip(1, 0)}, {"▁Hello", "▁", "<0xE6>", "<0x97>", "<0xA5>", "<0xZZ>", "▁x"}),
      "Hello \xE6\x97\xA5<0xZZ> x");
  EXPECT_EQ(Text({kMarks, kFallback, kFuse, Strip(1, 0)}, {"▁", "▁a"}), " a") << "one space and no more";
  EXPECT_EQ(Text({kMarks, kFallback, kFuse, Strip(2, 0)}, {"▁", "▁a", "▁"}), "a ");
}

TEST(TokenDecoder, StripWithoutFuseIsForEachToken) {
  EXPECT_EQ(Text({kMarks, Strip(1, 1)}, {"▁a", "▁▁b▁", "▁"}), "a b");
}

TEST(TokenDecoder, TheTextsEndWaitsUntilMoreComes) {
  std::vector<std::string> each;
  EXPECT_EQ(Text({kMarks, kFuse, Strip(0, 2)}, {"a▁", "▁", "▁", "b▁", "▁"}, false, &each), "a   b");
  EXPECT_EQ(each, (std::vector<std::string>{"a", "", " ", "  b", ""}));
}

TEST(TokenDecoder, MetaspaceDropsTheFirstTokensMarks) {
  DecoderStep marks = {.kind = Kind::kMetaspace, .content = "▁", .drop_first = true};
  EXPECT_EQ(Text({marks}, {"▁▁a▁", "▁b"}), "a b");
  marks.drop_first = false;
  EXPECT_EQ(Text({marks}, {"▁a", "▁b"}), " a b");
}

TEST(TokenDecoder, ReplaceTakesExpressions) {
  EXPECT_EQ(Text({{.kind = Kind::kReplace, .pattern = "[ab]+", .content = "-"}}, {"xabx", "ba"}), "x-x-");
}

TEST(TokenDecoder, RefusesWhatCannotBeDoneTokenByToken) {
  EXPECT_THROW(Text({kFuse, kMarks}, {"a"}), Error);
  EXPECT_THROW(Text({{}, kFallback}, {"a"}), Error);
  EXPECT_THROW(Text({kFuse, Strip(1, 0), Strip(1, 0)}, {"a"}), Error);
  EXPECT_NO_THROW(Text({kFuse, kFuse, Strip(1, 0), Strip(0, 1)}, {"a"}));
}

}  // namespace
}  // namespace sputnik
