#include "tensor/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace sputnik {
namespace {

TEST(Batch, CountsTokensAndSequences) {
  Batch batch;
  batch.ids = {5, 6, 7, 8};
  batch.positions = {0, 1, 2, 0};
  batch.sequence_start = {0, 3, 4};
  EXPECT_EQ(batch.tokens(), 4);
  EXPECT_EQ(batch.sequences(), 2);
}

TEST(Batch, ABatchOfNothingHasNoSequences) {
  Batch batch;
  EXPECT_EQ(batch.tokens(), 0);
  EXPECT_EQ(batch.sequences(), 0);
  batch.sequence_start = {0};
  EXPECT_EQ(batch.sequences(), 0);
}

TEST(Batch, DrawnPositionsAreSortedDifferentAndInRange) {
  for (const int64_t count : {0, 1, 7, 50}) {
    const std::vector<int32_t> positions = DrawPositions(count, 50, 3);
    ASSERT_EQ(static_cast<int64_t>(positions.size()), count);
    EXPECT_TRUE(std::is_sorted(positions.begin(), positions.end()));
    EXPECT_EQ(std::adjacent_find(positions.begin(), positions.end()), positions.end());
    EXPECT_TRUE(positions.empty() || (positions.front() >= 0 && positions.back() < 50));
  }
  EXPECT_EQ(DrawPositions(9, 50, 3), DrawPositions(9, 50, 3));
  EXPECT_NE(DrawPositions(9, 50, 3), DrawPositions(9, 50, 4));
  EXPECT_NE(DrawPositions(9, 50, 3), DrawPositions(9, 50, 3, 1));
}

TEST(Batch, EveryChoiceOfPositionsIsEquallyLikely) {
  std::map<std::vector<int32_t>, int> counts;
  constexpr int kDraws = 20000;
  for (uint64_t seed = 0; seed < kDraws; ++seed) ++counts[DrawPositions(2, 5, seed)];
  ASSERT_EQ(counts.size(), 10u);
  for (const auto& [choice, count] : counts) EXPECT_NEAR(count, kDraws / 10, 200);
}

}  // namespace
}  // namespace sputnik
