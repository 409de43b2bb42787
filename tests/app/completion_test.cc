#include "app/completion.h"

#include <gtest/gtest.h>

#include "tests/support/byte_tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

class CompletionTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  Tokenizer tokenizer_ = MakeByteTokenizer(folder_.path());
};

TEST_F(CompletionTest, TextLeavesControlTokensOutAndMarkersIn) {
  std::vector<int32_t> ids = tokenizer_.Encode("<think>é</think>");
  ids.insert(ids.begin(), tokenizer_.bos_id());
  ids.push_back(tokenizer_.eos_id());
  EXPECT_EQ(CompletionText(tokenizer_, ids), "<think>é</think>");
  EXPECT_EQ(CompletionText(tokenizer_, {}), "");
}

TEST_F(CompletionTest, IdsThatOnlyTheModelHasAreShownAsUnknown) {
  std::vector<int32_t> ids = tokenizer_.Encode("ab");
  ids.insert(ids.begin() + 1, tokenizer_.vocab_size() + 3);
  EXPECT_EQ(CompletionText(tokenizer_, ids),
            "a\xEF\xBF\xBD"
            "b");
}

TEST_F(CompletionTest, StreamsWholeCharacters) {
  CompletionStream stream(tokenizer_);
  std::vector<std::string> parts;
  for (const int32_t id : tokenizer_.Encode("a日é")) parts.push_back(stream.Push(id));
  EXPECT_EQ(parts, (std::vector<std::string>{"a", "", "", "日", "", "é"}));
  const std::vector<int32_t> half = tokenizer_.Encode("日");
  EXPECT_EQ(stream.Push(half[0]), "");
  EXPECT_EQ(stream.Finish(), std::string("日").substr(0, 1)) << "nothing is lost";
  stream.Push(half[0]);
  EXPECT_EQ(stream.Push(tokenizer_.vocab_size()), std::string("日").substr(0, 1) + "\xEF\xBF\xBD");
}

TEST_F(CompletionTest, FlagsBecomeSamplingOptions) {
  CommandLine line(
      "sputnik test", "a test",
      {"--temp", "0.5", "--top-k=4", "--top-p", "0.9", "--min-p", "0.1", "-n", "7", "--attention", "absorbed"});
  CompletionFlags flags;
  flags.seed = 11;
  flags.Declare(line);
  line.Example("sputnik test");
  ASSERT_TRUE(line.Parse());
  const SamplingOptions options = flags.sampling();
  EXPECT_EQ(options.temperature, 0.5);
  EXPECT_EQ(options.top_k, 4);
  EXPECT_EQ(options.top_p, 0.9);
  EXPECT_EQ(options.min_p, 0.1);
  EXPECT_EQ(options.seed, 11u);
  EXPECT_EQ(flags.max_tokens, 7);
  EXPECT_EQ(AttentionFormOf(flags.attention), AttentionForm::kAbsorbed);
  EXPECT_EQ(AttentionFormOf("expanded"), AttentionForm::kExpanded);
  flags.temperature = 1e-5;
  EXPECT_MENTIONS(ExpectError(ExitCode::kUsage, [&] { flags.sampling(); }), "temperature");
}

TEST_F(CompletionTest, TheCacheHasRoomForAllSamplesButNotForMore) {
  const ModelConfig config = TinyConfig();  // a context of 128
  const AttentionForm form = AttentionForm::kExpanded;
  EXPECT_GE(EngineOptionsFor(config, form, 100, 20, 1).cache_tokens, 120);
  EXPECT_GE(EngineOptionsFor(config, form, 100, 20, 10).cache_tokens, 100 + 10 * 20);
  EXPECT_LE(EngineOptionsFor(config, form, 100, int64_t{1} << 40, 1).cache_tokens, 128 + 128 + 2 * kKeyBlock);
  ModelConfig long_context = config;
  long_context.max_position_embeddings = int64_t{1} << 40;
  const EngineOptions options = EngineOptionsFor(long_context, form, 100, int64_t{1} << 40, 4);
  EXPECT_LE(options.cache_tokens / kKeyBlock * KvCache::BytesPerPage(config, form, DType::kF32), options.memory_bytes);
  EXPECT_GT(options.cache_tokens, 128);
}

TEST_F(CompletionTest, ReasonsAreSpelledAsInOpenAisInterface) {
  EXPECT_EQ(FinishReasonName(FinishReason::kStop), "stop");
  EXPECT_EQ(FinishReasonName(FinishReason::kLength), "length");
  EXPECT_EQ(FinishReasonName(FinishReason::kCancelled), "cancelled");
}

}  // namespace
}  // namespace sputnik
