#include "app/run_record.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/finished_run.h"
#include "tests/support/temporary_folder.h"

namespace sputnik {
namespace {

TEST(RunRecord, HoldsWhatTheRunWrote) {
  const TemporaryFolder folder;
  WriteFinishedRun(folder / "demo");
  const RunRecord record = ReadRunRecord(folder / "demo/");
  EXPECT_EQ(record.run.name, "demo");
  ASSERT_EQ(record.run.stages.size(), 3u);
  const StageRecord& pretrain = record.run.stages[0];
  EXPECT_EQ(pretrain.name, "pretrain");
  EXPECT_EQ(pretrain.steps, kPretrainSteps);
  ASSERT_NE(pretrain.Find("loss"), nullptr);
  EXPECT_EQ(pretrain.Find("loss")->size(), static_cast<size_t>(kPretrainSteps));
  EXPECT_EQ(pretrain.loads.size(), static_cast<size_t>(kPretrainSteps / 10));
  EXPECT_EQ(pretrain.loads[0].size(), 48u);
  EXPECT_EQ(pretrain.Find("reward"), nullptr);
  EXPECT_EQ(record.run.FindStage("improve")->ByLevel("accuracy").size(), static_cast<size_t>(kRunLevels));
  EXPECT_EQ(record.run.FindStage("improve")->ByLevel("eval/accuracy").begin()->first, 1);
  ASSERT_EQ(record.controls.size(), 3u);
  EXPECT_EQ(record.controls[2].stages.front().name, "control_random");
  EXPECT_EQ(record.results.size(), static_cast<size_t>(5 * kRunLevels));
  EXPECT_EQ(record.results.front().stage, "sft");
  ASSERT_EQ(record.run.costs.size(), 3u);
  EXPECT_EQ(record.run.costs[2].stage, "improve");
  EXPECT_EQ(record.run.costs[2].generated_tokens, 1105920);
  EXPECT_EQ(record.run.costs[2].wall_seconds, 240.125);
  EXPECT_EQ(record.peak_flops, 524e9);
  ASSERT_TRUE(record.shape.has_value());
  EXPECT_EQ(record.shape->experts, 16);
  EXPECT_EQ(record.shape->expert_layers, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(record.LargestGap(), 0.0);
  EXPECT_FALSE(record.earlier_peak_bytes.has_value());
}

TEST(RunRecord, SkipsBrokenLines) {
  const TemporaryFolder folder;
  std::ofstream(folder / "metrics.jsonl")
      << "{\"stage\": \"improve\", \"step\": 1, \"train_rollout_logprob_abs_diff\": 0}\n"
      << "{\"stage\": \"improve\", \"st\n"
      << "[1, 2]\n\n"
      << "{\"step\": 2}\n"
      << "{\"stage\": 7, \"step\": \"x\"}\n"
      << "{\"stage\": \"improve\", \"step\": 3, \"loss\": null, \"expert_loads\": [1, \"x\"], "
         "\"train_rollout_logprob_abs_diff\": -0.5}\n"
      << "{\"stage\": \"improve\", \"step\": 4, \"rew";
  std::filesystem::create_directories(folder / "results");
  std::ofstream(folder / "results/sft.jsonl") << ResultsOf("sft") << "{\"task\": \"addition\"}\n{\"task\": 1}\n{";
  std::ofstream(folder / "results/sft.samples.jsonl")
      << SamplesOf("sft") << "{\"stage\": \"sft\", \"correct\": 1}\nx\n";
  std::ofstream(folder / "ledger.json") << "{\"stages\": {\"sft\": {\"wall_seconds\": \"x\"}, \"improve\": 3";
  std::ofstream(folder / "summary.json") << "{\"peak_bytes\": \"many\"}";
  const RunRecord record = ReadRunRecord(folder.path());
  ASSERT_EQ(record.run.stages.size(), 1u);
  EXPECT_EQ(record.run.stages[0].steps, 3);
  EXPECT_EQ(record.run.stages[0].Find("loss"), nullptr);
  EXPECT_TRUE(record.run.stages[0].loads.empty());
  EXPECT_EQ(record.LargestGap(), 0.5);
  EXPECT_EQ(record.results.size(), static_cast<size_t>(kRunLevels));
  EXPECT_EQ(record.samples.size(), static_cast<size_t>(3 * kRunLevels));
  EXPECT_TRUE(record.run.costs.empty());
  EXPECT_FALSE(record.earlier_peak_bytes.has_value());
}

TEST(RunRecord, AnEmptyFolderIsAnEmptyRecord) {
  const TemporaryFolder folder;
  const RunRecord record = ReadRunRecord(folder.path());
  EXPECT_TRUE(record.run.stages.empty() && record.results.empty() && record.controls.empty());
  EXPECT_FALSE(record.LargestGap().has_value());
  EXPECT_FALSE(record.shape.has_value());
}

TEST(RunRecord, LevelsAreTheWholeRestOfAName) {
  StageRecord stage;
  for (const char* metric :
       {"accuracy/1", "accuracy/12", "accuracy/2/std", "accuracy/x", "accuracy", "eval/accuracy/3"}) {
    stage.curves[metric] = {{1, 1}};
  }
  const auto levels = stage.ByLevel("accuracy");
  ASSERT_EQ(levels.size(), 2u);
  EXPECT_TRUE(levels.contains(1) && levels.contains(12));
}

TEST(RunRecord, StagesHaveTitles) {
  EXPECT_EQ(StageTitle("sft"), "Fine-tuning");
  EXPECT_EQ(StageTitle("control_random"), "Control: random reward");
  EXPECT_EQ(StageTitle("distill"), "distill");
  EXPECT_EQ(StageTitle("evaluation"), "Evaluation");
}

}  // namespace
}  // namespace sputnik
