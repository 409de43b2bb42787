#include "data/packer.h"

#include <gtest/gtest.h>

#include <numeric>

namespace sputnik {
namespace {

using Runs = std::vector<std::vector<int64_t>>;

TEST(Packer, WhatWeighsNothingIsNoTarget) {
  const Batch batch = Pack(std::vector<Sample>{{.ids = {10, 11, 12, 13}, .target_weights = {0, 0, 1, 0}}});
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{-1, 12, -1, -1}));
}

TEST(Packer, TargetsAreTheNextIdsOfTheSameSample) {
  const std::vector<Sample> samples = {
      {.ids = {10, 11, 12}, .target_weights = {0, 0.5f, 2}},
      {.ids = {20}, .target_weights = {0}},
      {.ids = {30, 31}, .target_weights = {0, 1}, .positions = {4, 9}},
  };
  const Batch batch = Pack(samples);
  EXPECT_EQ(batch.ids, (std::vector<int32_t>{10, 11, 12, 20, 30, 31}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{11, 12, -1, -1, 31, -1}));
  EXPECT_EQ(batch.weights, (std::vector<float>{0.5f, 2, 0, 0, 1, 0}));
  EXPECT_EQ(batch.positions, (std::vector<int32_t>{0, 1, 2, 0, 4, 9}));
  EXPECT_EQ(batch.sequence_start, (std::vector<int32_t>{0, 3, 4, 6}));
  EXPECT_EQ(batch.sequences(), 3);
  EXPECT_TRUE(batch.context.empty());

  const std::vector<int64_t> chosen = {2, 0};
  const Batch some = Pack(samples, chosen);
  EXPECT_EQ(some.ids, (std::vector<int32_t>{30, 31, 10, 11, 12}));
  EXPECT_EQ(some.sequence_start, (std::vector<int32_t>{0, 2, 5}));
}

TEST(Packer, NothingMakesAnEmptyBatch) {
  const Batch batch = Pack({});
  EXPECT_EQ(batch.tokens(), 0);
  EXPECT_EQ(batch.sequences(), 0);
}

TEST(PackerDeathTest, RefusesBrokenSamples) {
  const std::vector<Sample> empty(1);
  EXPECT_DEATH(Pack(empty), "length");
  const std::vector<Sample> uneven = {{.ids = {1, 2}, .target_weights = {0}}};
  EXPECT_DEATH(Pack(uneven), "target_weights");
}

TEST(Packer, MicroBatchesKeepOrderAndFit) {
  const std::vector<int64_t> lengths = {4, 4, 3, 9, 2, 12, 1, 10};
  EXPECT_EQ(PlanMicroBatches(lengths, 10), (Runs{{0, 1}, {2}, {3}, {4}, {5}, {6}, {7}}));
  EXPECT_EQ(PlanMicroBatches(lengths, 12), (Runs{{0, 1, 2}, {3, 4}, {5}, {6, 7}}));
  EXPECT_EQ(PlanMicroBatches(lengths, 1000).size(), 1u);
  EXPECT_EQ(PlanMicroBatches(lengths, 1).size(), 8u);
  EXPECT_EQ(PlanMicroBatches(std::vector<int64_t>{5, 5, 1}, 10), (Runs{{0, 1}, {2}}));  // an exact fit
  EXPECT_TRUE(PlanMicroBatches({}, 10).empty());
}

TEST(Packer, MicroBatchesCoverEverythingForAnyLimit) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 200; ++i) lengths.push_back(1 + (i * 7919) % 31);
  for (int64_t limit = 1; limit < 80; ++limit) {
    int64_t next = 0;
    for (const auto& run : PlanMicroBatches(lengths, limit)) {
      int64_t total = 0;
      for (const int64_t i : run) {
        EXPECT_EQ(i, next++);
        total += lengths[static_cast<size_t>(i)];
      }
      EXPECT_TRUE(total <= limit || run.size() == 1);
    }
    EXPECT_EQ(next, 200);
  }
}

}  // namespace
}  // namespace sputnik
