#include "app/run_score.h"

#include <gtest/gtest.h>

namespace sputnik {
namespace {

ResultRecord Level(const std::string& stage, int64_t level, double pass, double half) {
  return {.task = "addition",
          .split = "held_out",
          .stage = stage,
          .level = level,
          .pass_at_1 = pass,
          .pass_at_k = (1 + pass) / 2,
          .k = 4,
          .n = 100,
          .low = pass - half,
          .high = pass + half};
}

TEST(RunScore, LevelsCountAlikeAndErrorsAddUpInSquares) {
  const std::vector<StageScore> scores = ScoreStages({Level("sft", 1, 0.5, 0.03), Level("sft", 2, 0.25, 0.04)});
  ASSERT_EQ(scores.size(), 1u);
  EXPECT_EQ(scores[0].levels, 2);
  EXPECT_EQ(scores[0].n, 200);
  EXPECT_DOUBLE_EQ(scores[0].pass_at_1, 0.375);
  EXPECT_DOUBLE_EQ(scores[0].pass_at_k, 0.6875);
  EXPECT_NEAR(scores[0].low, 0.375 - 0.025, 1e-12);
  EXPECT_NEAR(scores[0].high, 0.375 + 0.025, 1e-12);
}

TEST(RunScore, SolvedMeansThatAllBelowAreSolvedToo) {
  const auto solved = [](const std::vector<double>& passes) {
    std::vector<ResultRecord> results;
    for (size_t i = 0; i < passes.size(); ++i)
      results.push_back(Level("sft", static_cast<int64_t>(i) + 3, passes[i], 0));
    return ScoreStages(results).front().solved_up_to;
  };
  EXPECT_EQ(solved({0.95, 0.9, 0.89}), 4);
  EXPECT_EQ(solved({0.95, 0.5, 0.95}), 3);
  EXPECT_EQ(solved({0.5, 1}), 0);
}

TEST(RunScore, OneForEachTaskSplitAndStage) {
  std::vector<ResultRecord> results = {Level("sft", 1, 1, 0), Level("improve", 1, 1, 0), Level("sft", 2, 1, 0)};
  results.push_back(Level("sft", 1, 0, 0));
  results.back().split = "train";
  const std::vector<StageScore> scores = ScoreStages(results);
  ASSERT_EQ(scores.size(), 3u);
  EXPECT_EQ(scores[0].levels, 2);
  EXPECT_EQ(scores[1].stage, "improve");
  EXPECT_EQ(scores[2].split, "train");
}

}  // namespace
}  // namespace sputnik
