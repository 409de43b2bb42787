#include "engine/sequence.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace sputnik {
namespace {

TEST(Sequence, StartsWithThePromptAndEndsFull) {
  const Request request{
      .prompt = {4, 5, 6}, .max_tokens = 10, .samples = 3, .sampling = {.seed = 9}, .stop_ids = {1, 2}};
  const std::vector<int32_t> positions = {0, 2, 3, 7, 9, 11};
  Sequence first(12, request, positions, 5);
  EXPECT_EQ(first.tokens, request.prompt);
  EXPECT_EQ(first.most_tokens, 2) << "the longest sequence has five tokens";
  EXPECT_EQ(first.forks, 2);
  EXPECT_EQ(first.sampling.seed, HashCombine(9, 0));
  Sequence third(first, 2);
  EXPECT_EQ(third.sampling.seed, HashCombine(9, 2));
  EXPECT_EQ(third.forks, 0);
  EXPECT_TRUE(first.older_than(third));
  EXPECT_FALSE(third.older_than(first));
  third.Append(8, -1.5f);
  EXPECT_FALSE(third.full());
  third.Append(2, -0.5f);
  EXPECT_TRUE(third.full());
  EXPECT_TRUE(third.StoppedBy(2));
  EXPECT_FALSE(third.StoppedBy(8));
  const Completion completion = third.Finish(FinishReason::kStop);
  EXPECT_EQ(completion.request, 12);
  EXPECT_EQ(completion.sample, 2);
  EXPECT_EQ(completion.tokens, (std::vector<int32_t>{8, 2}));
  EXPECT_EQ(completion.logprobs, (std::vector<float>{-1.5f, -0.5f}));
  EXPECT_EQ(completion.positions, (std::vector<int32_t>{0, 2, 3, 7, 9}));
  EXPECT_EQ(completion.reason, FinishReason::kStop);
}

}  // namespace
}  // namespace sputnik
