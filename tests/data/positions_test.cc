#include "data/positions.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

TEST(Positions, AreASortedSubset) {
  for (uint64_t id = 0; id < 200; ++id) {
    const std::vector<int32_t> positions = RandomPositions(20, 48, 7, id);
    ASSERT_EQ(positions.size(), 20u);
    EXPECT_GE(positions.front(), 0);
    EXPECT_LT(positions.back(), 48);
    for (size_t i = 1; i < positions.size(); ++i) EXPECT_GT(positions[i], positions[i - 1]);
  }
}

TEST(Positions, ArePureFunctionsOfSeedAndStream) {
  EXPECT_EQ(RandomPositions(10, 64, 1, 2), RandomPositions(10, 64, 1, 2));
  EXPECT_NE(RandomPositions(10, 64, 1, 2), RandomPositions(10, 64, 1, 3));
  EXPECT_NE(RandomPositions(10, 64, 1, 2), RandomPositions(10, 64, 2, 2));
  EXPECT_EQ(RandomPositions(4, 4, 1, 1), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_TRUE(RandomPositions(0, 4, 1, 1).empty());
}

TEST(Positions, AllSubsetsAreEquallyLikely) {
  std::map<std::vector<int32_t>, int> counts;
  constexpr int kDraws = 20000;
  for (uint64_t id = 0; id < kDraws; ++id) ++counts[RandomPositions(2, 5, 11, id)];
  ASSERT_EQ(counts.size(), 10u);
  for (const auto& [subset, count] : counts) EXPECT_NEAR(count, kDraws / 10, 200);  // 4.7 standard deviations
}

TEST(Positions, RefuseSequencesLongerThanTheRange) {
  Sample sample{.ids = {1, 2, 3}, .target_weights = {0, 1, 1}};
  RandomisePositions(sample, 3, 1, 1);
  EXPECT_EQ(sample.positions, (std::vector<int32_t>{0, 1, 2}));
  const std::string message = ExpectError(ExitCode::kUsage, [&] { RandomisePositions(sample, 2, 1, 1); });
  EXPECT_MENTIONS(message, "a sequence of 3 tokens");
  EXPECT_MENTIONS(message, "a range of 2");
  EXPECT_MENTIONS(message, "raise the position range");
}

}  // namespace
}  // namespace sputnik
