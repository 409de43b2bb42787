#include "train/loss.h"

#include <gtest/gtest.h>

#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

TEST(CrossEntropy, IsTheWeightedMeanAndItsGradient) {
  const std::vector<int32_t> rows = {0, 2, 3};
  const std::vector<float> weights = {1, 100, 0.5f, 2.5f, 100}, logprobs = {-1, -2, -3};
  std::vector<float> seeds(3, 0.125f);  // gradients are added to
  EXPECT_DOUBLE_EQ(CrossEntropy(rows, weights, logprobs, 4, seeds), (1 * 1 + 0.5 * 2 + 2.5 * 3) / 4);
  EXPECT_FLOAT_EQ(seeds[0], 0.125f - 0.25f);
  EXPECT_FLOAT_EQ(seeds[1], 0.125f - 0.125f);
  EXPECT_FLOAT_EQ(seeds[2], 0.125f - 0.625f);
}

TEST(CrossEntropy, SharesOfMicroBatchesAddUpToTheWhole) {
  const std::vector<int32_t> rows = {0, 1, 2, 3, 4};
  const std::vector<float> weights = {1, 0.25f, 2, 0.5f, 1}, logprobs = {-0.5f, -1, -0.25f, -4, -2};
  std::vector<float> whole(5, 0.f), parts(5, 0.f);
  const double expected = CrossEntropy(rows, weights, logprobs, 4.75, whole);
  const auto part = [&](size_t begin, size_t count) {
    return CrossEntropy(std::span(rows).subspan(begin, count), weights, std::span(logprobs).subspan(begin, count), 4.75,
                        std::span(parts).subspan(begin, count));
  };
  EXPECT_DOUBLE_EQ(part(0, 2) + part(2, 3), expected);
  EXPECT_EQ(parts, whole);
}

TEST(TotalWeight, CountsTargetsAloneOverAllMicroBatches) {
  const Batch a = RandomBatch(TinyConfig(), {5, 3}, 1), b = RandomBatch(TinyConfig(), {4}, 2);
  double expected = 0;
  for (const Batch* batch : {&a, &b}) {
    for (size_t i = 0; i < batch->targets.size(); ++i) {
      if (batch->targets[i] >= 0) expected += static_cast<double>(batch->weights[i]);
    }
  }
  Batch with_noise = a;
  for (size_t i = 0; i < a.targets.size(); ++i) {
    if (a.targets[i] < 0) with_noise.weights[i] = 1000;
  }
  EXPECT_GT(expected, 0);
  EXPECT_DOUBLE_EQ(TotalWeight(std::vector<Batch>{with_noise, b}), expected);
  EXPECT_EQ(TotalWeight({}), 0);
}

}  // namespace
}  // namespace sputnik
