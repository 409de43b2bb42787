#include "app/windows.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

TEST(Windows, AreSplitWithoutBeingCut) {
  const Batch batch = RandomBatch(TinyConfig(), {10, 7, 12, 3, 3}, 1);
  EXPECT_EQ(SplitWindows(batch, batch.tokens()).size(), 1u);
  const std::vector<Batch> parts = SplitWindows(batch, 11);  // a window may be longer than that
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[3].sequence_start, (std::vector<int32_t>{0, 3, 6}));
  Batch again;
  const auto append = [](const auto& from, auto& to) { to.insert(to.end(), from.begin(), from.end()); };
  for (const Batch& part : parts) {
    append(part.ids, again.ids);
    append(part.positions, again.positions);
    append(part.targets, again.targets);
    append(part.weights, again.weights);
  }
  EXPECT_EQ(again.ids, batch.ids);
  EXPECT_EQ(again.positions, batch.positions);
  EXPECT_EQ(again.targets, batch.targets);
  EXPECT_EQ(again.weights, batch.weights);
}

TEST(Windows, PositionsAreAFunctionOfSeedAndStep) {
  ModelConfig config = TinyConfig();
  config.position_range = 100;
  const auto drawn = [&](uint64_t seed, int64_t step) {
    Batch batch = RandomBatch(config, {10, 7}, 1);
    RandomiseWindows(batch, config, seed, step);
    return batch.positions;
  };
  const std::vector<int32_t> positions = drawn(1, 5);
  EXPECT_EQ(drawn(1, 5), positions);
  EXPECT_NE(drawn(1, 6), positions);
  EXPECT_NE(drawn(2, 5), positions);
  EXPECT_TRUE(std::is_sorted(positions.begin(), positions.begin() + 10));
  EXPECT_TRUE(std::is_sorted(positions.begin() + 10, positions.end()));
  EXPECT_LT(*std::max_element(positions.begin(), positions.end()), 100);
}

}  // namespace
}  // namespace sputnik
