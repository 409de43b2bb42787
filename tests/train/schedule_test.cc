#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sputnik {
namespace {

OptimizerConfig Config(const char* schedule) {
  OptimizerConfig config;
  config.schedule = schedule;
  config.warmup_steps = 4;
  config.decay_fraction = 0.5;
  config.final_lr_fraction = 0.1;
  return config;
}

TEST(Schedule, WarmsUpLinearlyFromTheFirstStep) {
  const OptimizerConfig config = Config("constant");
  for (int64_t step = 0; step < 4; ++step) {
    EXPECT_DOUBLE_EQ(LearningRateFactor(config, step, 0), 0.25 * static_cast<double>(step + 1)) << step;
  }
  EXPECT_EQ(LearningRateFactor(config, 4, 0.04), 1);
}

TEST(Schedule, WithoutWarmUpTheFirstStepIsFull) {
  OptimizerConfig config = Config("constant");
  config.warmup_steps = 0;
  EXPECT_EQ(LearningRateFactor(config, 0, 0), 1);
}

TEST(Schedule, LinearDecayTakesTheLastShareAndEndsAtItsFloor) {
  const OptimizerConfig config = Config("linear");
  EXPECT_EQ(LearningRateFactor(config, 10, 0.5), 1);
  EXPECT_NEAR(LearningRateFactor(config, 10, 0.75), 0.1 + 0.9 * 0.5, 1e-15);
  EXPECT_NEAR(LearningRateFactor(config, 10, 1), 0.1, 1e-15);
  EXPECT_NEAR(LearningRateFactor(config, 10, 1.7), 0.1, 1e-15) << "past the end it stays there";
}

TEST(Schedule, CosineDecayIsACosine) {
  const OptimizerConfig config = Config("cosine");
  for (const double done : {0.0, 0.1, 0.5, 0.8, 1.0}) {
    const double expected = 0.1 + 0.9 * 0.5 * (1 + std::cos(M_PI * done));
    EXPECT_NEAR(LearningRateFactor(config, 10, 0.5 + 0.5 * done), expected, 1e-12) << done;
  }
}

TEST(Schedule, ConstantNeverDecays) {
  EXPECT_EQ(LearningRateFactor(Config("constant"), 10, 1), 1);
  OptimizerConfig none = Config("linear");
  none.decay_fraction = 0;
  EXPECT_EQ(LearningRateFactor(none, 10, 1), 1);
}

}  // namespace
}  // namespace sputnik
