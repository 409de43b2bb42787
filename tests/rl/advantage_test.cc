#include "rl/advantage.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sputnik {
namespace {

TEST(Advantage, MeanModeCentresAndKeepsScale) {
  const std::vector<double> rewards = {1, 0, 0, 1, 1, 0, 0, 0};
  const std::vector<double> a = Advantages(rewards, "mean");
  for (size_t i = 0; i < rewards.size(); ++i) EXPECT_DOUBLE_EQ(a[i], rewards[i] - 0.375);
}

TEST(Advantage, StdModeDividesByTheDeviation) {
  const std::vector<double> a = Advantages(std::vector<double>{1, 0, 0, 1}, "std");
  EXPECT_NEAR(a[0], 0.5 / (0.5 + 1e-6), 1e-12);
  EXPECT_NEAR(a[1], -0.5 / (0.5 + 1e-6), 1e-12);
}

TEST(Advantage, EqualRewardsGiveZeroNotNan) {
  for (const char* mode : {"mean", "std"}) {
    for (const double a : Advantages(std::vector<double>(5, 1.0), mode)) EXPECT_EQ(a, 0.0) << mode;
  }
}

TEST(Advantage, NoneModeIsTheReward) {
  EXPECT_EQ(Advantages(std::vector<double>{1, 0}, "none"), (std::vector<double>{1, 0}));
}

TEST(Advantage, AllEqualSeesOneThatDiffers) {
  EXPECT_TRUE(AllEqual(std::vector<double>{}));
  EXPECT_TRUE(AllEqual(std::vector<double>{2, 2, 2}));
  EXPECT_FALSE(AllEqual(std::vector<double>{2, 2, 2.0000001}));
}

}  // namespace
}  // namespace sputnik
