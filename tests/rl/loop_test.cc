#include "rl/loop.h"

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "base/clock.h"
#include "base/json.h"
#include "tests/support/expect_error.h"
#include "tests/support/improvement.h"
#include "tests/support/temporary_folder.h"

// Nothing here cuts the power, and most of the time would go into waiting for the disk.
extern "C" int fsync(int) { return 0; }

namespace sputnik {
namespace {

namespace fs = std::filesystem;

TEST(RunImprove, LogsEveryRoundAndWritesRollouts) {
  const TemporaryFolder folder;
  Improvement run;
  run.evaluate = [](int64_t, MetricsLine& line) { line.Set("accuracy", 0.5); };
  run.train.log_every = 4;
  run.rl.drop_uniform_groups = false;  // so that every round trains
  run.rl.kl_weight = 0.1;
  const StageResult result = run.Run(folder.path());
  EXPECT_TRUE(result.state.stage_done);
  const std::vector<Json> lines = ParsedMetrics(folder.path());
  ASSERT_EQ(lines.size(), 6u);
  std::vector<std::string> raw;
  std::istringstream text(ReadFile(folder / "metrics.jsonl"));
  for (std::string line; std::getline(text, line);) raw.push_back(line);
  ASSERT_EQ(raw.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    for (const char* key : {"reward",
                            "reward_std",
                            "rewards/even/mean",
                            "rewards/even/std",
                            "entropy",
                            "clip_ratio/low_mean",
                            "clip_ratio/high_mean",
                            "clip_ratio/region_mean",
                            "frac_reward_zero_std",
                            "completions/mean_length",
                            "completions/clipped_ratio",
                            "completions/mean_terminated_length",
                            "pass@4",
                            "kl",
                            "loss",
                            "grad_norm",
                            "lr",
                            "num_tokens",
                            "level",
                            "train_rollout_logprob_abs_diff"}) {
      EXPECT_TRUE(lines[i].contains(key)) << key;
    }
    EXPECT_NE(raw[i].find("\"step_time\""), std::string::npos);
    EXPECT_EQ(lines[i].contains("accuracy"), i % 3 == 2);
    EXPECT_EQ(lines[i].contains("expert_loads"), i == 3 || i == 5) << i;
    EXPECT_GE(lines[i]["expert_load_max_over_mean"].get<double>(), 1) << lines[i].dump();
    EXPECT_EQ(fs::exists(folder / ("rollouts/step-" + std::to_string(i + 1) + ".jsonl")), i % 2 == 1) << i;
  }
  EXPECT_EQ(run.updates, 6);
}

// Every token that a round trains on takes its experts, whichever of the round's updates it falls to.
TEST(RunImprove, ExpertLoadsAreThoseOfAllUpdates) {
  Improvement run;
  run.rl.steps = 1;
  run.rl.drop_uniform_groups = false;
  run.train.log_every = 1;
  const auto total = [&] {
    int64_t sum = 0;
    const std::vector<Json> lines = run.Lines();
    for (const Json& load : lines[0]["expert_loads"]) sum += load.get<int64_t>();
    return sum;
  };
  const int64_t once = total();
  EXPECT_GT(once, 0);
  run.rl.updates_per_round = 3;
  EXPECT_EQ(total(), once);
}

TEST(RunImprove, LearnsWhatIsRewarded) {
  Improvement run;
  run.rl.steps = 40;
  run.rl.prompts_per_step = 12;
  run.rl.group_size = 8;
  run.optimizer.lr = 0.01;
  run.optimizer.optimizer = "adamw";
  run.task =
      TinyTask([](const Problem&, std::string_view completion) { return completion.starts_with('c') ? 1.0 : 0.0; });
  const std::vector<Json> lines = run.Lines();
  EXPECT_LT(lines[0]["reward"].get<double>(), 0.3);
  EXPECT_GT(lines[39]["reward"].get<double>(), 0.7);
}

TEST(RunImprove, SeveralUpdatesShareTheSamplesOut) {
  Improvement run;
  run.rl.steps = 1;
  run.rl.drop_uniform_groups = false;
  const int64_t once = run.Lines()[0]["num_tokens"].get<int64_t>();
  EXPECT_EQ(run.updates, 1);
  run.rl.updates_per_round = 3;
  EXPECT_EQ(run.Lines()[0]["num_tokens"].get<int64_t>(), once) << "each sample is trained on once";
  EXPECT_EQ(run.updates, 3);
  run.rl.updates_per_round = 50;  // more than there are samples
  EXPECT_EQ(run.Lines()[0]["num_tokens"].get<int64_t>(), once);
  EXPECT_EQ(run.updates, 20);
}

TEST(RunImprove, UniformGroupsAreLeftOutUnlessWanted) {
  Improvement run;
  run.task = TinyTask([](const Problem&, std::string_view) { return 1.0; });
  for (const Json& line : run.Lines()) {
    EXPECT_FALSE(line.contains("train_rollout_logprob_abs_diff")) << "nothing was compared: " << line.dump();
  }
  EXPECT_EQ(run.updates, 0);
  const std::vector<float> untouched = run.weights;
  run.rl.drop_uniform_groups = false;
  run.Lines();
  EXPECT_EQ(run.updates, 6);
  EXPECT_NE(run.weights, untouched) << "weight decay at least";
}

TEST(RunImprove, TheLearningRateFollowsTheShareOfMixedGroups) {
  Improvement run;
  run.optimizer.schedule = "constant";
  run.optimizer.warmup_steps = 0;
  for (const Json& line : run.Lines()) {
    const double mixed = 1 - line["frac_reward_zero_std"].get<double>();
    EXPECT_NEAR(line["lr"].get<double>(), run.optimizer.lr * std::sqrt(mixed), 1e-12) << line.dump();
  }
  run.rl.scale_lr = false;
  for (const Json& line : run.Lines()) EXPECT_EQ(line["lr"].get<double>(), run.optimizer.lr);
}

TEST(RunImprove, TruncatedCompletionsCanBeMasked) {
  Improvement run;
  run.rl.steps = 1;
  run.rl.drop_uniform_groups = false;
  const TemporaryFolder folder;
  run.rl.save_rollouts_every = 1;
  run.Run(folder.path());
  int64_t ended = 0, generated = 0;
  const std::string text = ReadFile(folder / "rollouts/step-1.jsonl");
  for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1) {
    const Json line = ParseJson(text.substr(begin, text.find('\n', begin) - begin), "line");
    const auto length = static_cast<int64_t>(line["output_ids"].size());
    generated += length;
    if (line["output_ids"].back() == run.tokenizer.eos_id()) {
      ended += length + static_cast<int64_t>(line["prompt_ids"].size());
    }
  }
  const int64_t all = ParsedMetrics(folder.path())[0]["num_tokens"].get<int64_t>();
  run.rl.mask_truncated = true;
  const int64_t masked = run.Lines()[0]["num_tokens"].get<int64_t>();
  EXPECT_GT(ended, 0);
  EXPECT_LT(masked, all);
  EXPECT_EQ(masked, generated + ended);
}

TEST(RunImprove, ExpertIterationImitatesTheRightOnesAlone) {
  Improvement run;
  run.rl.steps = 1;
  run.rl.advantage = "none";
  run.task = TinyTask([](const Problem&, std::string_view) { return 0.0; });
  run.rl.drop_uniform_groups = false;
  run.Lines();
  EXPECT_EQ(run.updates, 0) << "there was nothing to imitate";
  run.task = TinyTask();
  run.Lines();
  EXPECT_EQ(run.updates, 1);
}

TEST(RunImprove, KlToTheFirstWeightsStartsAtZeroAndGrows) {
  Improvement run;
  run.rl.kl_weight = 0.1;
  run.rl.temperature = 0.7;
  const std::vector<Json> lines = run.Lines();
  EXPECT_EQ(lines[0]["kl"].get<double>(), 0);
  EXPECT_GT(lines[5]["kl"].get<double>(), 0);
}

TEST(RunImprove, TheLevelMovesOnAndEarlierOnesAreReplayed) {
  Improvement run;
  run.rl.steps = 9;
  run.rl.start_level = 1;
  run.rl.max_level = 4;
  run.rl.advance_steps = 2;
  run.rl.replay = 0.4;
  run.rl.prompts_per_step = 12;
  run.task = TinyTask([](const Problem&, std::string_view) { return 1.0; });
  const std::vector<Json> lines = run.Lines();
  const int64_t levels[] = {1, 1, 2, 2, 3, 3, 4, 4, 4};
  bool replayed = false;
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(lines[i]["level"], levels[i]) << i;
    EXPECT_EQ(lines[i]["level_reward"], 1.0);
    replayed = replayed || (levels[i] > 1 && lines[i].contains("accuracy/1"));
    EXPECT_FALSE(lines[i].contains("accuracy/" + std::to_string(levels[i] + 1)));
  }
  EXPECT_TRUE(replayed);
}

TEST(RunImprove, ARoundWithoutAPromptOfTheLevelSaysNothingAboutIt) {
  Improvement run;
  run.rl.start_level = 3;
  run.rl.max_level = 4;
  run.rl.advance_steps = 2;
  run.rl.replay = 1;
  const std::vector<Json> lines = run.Lines();
  for (const Json& line : lines) {
    EXPECT_EQ(line["level"], 3);
    EXPECT_FALSE(line.contains("level_reward"));
  }
}

TEST(RunImprove, SkippedUpdatesAreLoggedAndEndTheRun) {
  const TemporaryFolder folder;
  Improvement run;
  run.train.spike_factor = 1e-6;
  run.train.max_skipped = 3;
  run.rl.updates_per_round = 2;
  run.fresh.numbers = {{"spike.steps", 100}, {"spike.mean_norm", 1e-6}};
  run.rl.drop_uniform_groups = false;
  // Two in the first round, the third in the second: the first update of a round counts like its last.
  const std::string message = ExpectError(ExitCode::kNumeric, [&] { run.Run(folder.path()); });
  EXPECT_MENTIONS(message, "spike limit");
  const std::vector<Json> lines = ParsedMetrics(folder.path());
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].contains("skipped"));
}

TEST(RunImprove, TimeThatRunsOutWhileSavingStillBringsTheLastEvaluation) {
  const TemporaryFolder folder;
  Improvement run;
  run.rl.steps = 1000000;
  run.train.save_every = 1;
  run.train.eval_every = 0;
  run.train.max_seconds = 0.5;
  int64_t evaluated = 0;
  run.evaluate = [&](int64_t step, MetricsLine&) { evaluated = step; };
  run.extra_files = [](const fs::path&) { std::this_thread::sleep_for(std::chrono::milliseconds(600)); };
  testing::internal::CaptureStderr();
  const StageResult result = run.Run(folder.path());
  const std::string shown = testing::internal::GetCapturedStderr();
  EXPECT_NE(shown.find("  0:01 left"), std::string::npos) << "the time ends the stage, not its steps: " << shown;
  EXPECT_TRUE(result.state.stage_done);
  EXPECT_GT(evaluated, 0);
  EXPECT_EQ(evaluated, result.state.stage_step);
}

TEST(RunImprove, EvaluationsAreBookedApart) {
  const TemporaryFolder folder;
  Improvement run;
  run.rl.steps = 3;
  run.train.eval_every = 1;
  run.evaluate = [](int64_t, MetricsLine&) { std::this_thread::sleep_for(std::chrono::milliseconds(30)); };
  const double start = WallSeconds();
  run.Run(folder.path());
  const double passed = WallSeconds() - start;
  const Json stages = ReadJsonFile(folder / "ledger.json")["stages"];
  EXPECT_GE(stages["evaluation"]["wall_seconds"], 0.09);
  EXPECT_LE(stages["improve"]["wall_seconds"], passed - 0.09);
  EXPECT_GT(stages["improve"]["core_seconds"], 0);
}

TEST(RunImprove, AStopBeforeTheFirstRoundKeepsTheEndOfTheStageBefore) {
  const TemporaryFolder folder;
  Improvement run;
  {
    RunFolder before(folder.path(), true, {}, 0);
    Decoder decoder(run.config, DType::kF32, true);
    InitialisePolicy(decoder, run.tokenizer, 1);
    before.Save({.global_step = 30, .stage = "sft", .stage_step = 30, .stage_done = true}, decoder,
                Optimizer(decoder.params(), {}), 2, true);
  }
  InstallStopSignals();
  ::raise(SIGTERM);
  EXPECT_TRUE(run.Run(folder.path()).stopped);
  ClearStopRequest();
  EXPECT_EQ(ReadRunState(folder / "checkpoints/step-30").stage, "sft");
  EXPECT_EQ(run.Run(folder.path()).state.global_step, 36);
  EXPECT_EQ(ReadRunState(folder / "checkpoints/step-30").stage, "sft");
}

// With all that a round may leave for the next: a level that moves, positions, samples, a reference, a spike guard.
void ExpectImprovementResumes(Improvement& stage, const Cuts& cuts) {
  stage.config.position_mode = "randomised";
  stage.config.position_range = 100;
  stage.rl.temperature = 0.9;
  stage.rl.max_level = 5;
  stage.rl.advance_reward = 0.35;  // so that the level moves in between
  stage.rl.advance_steps = 2;
  stage.rl.kl_weight = 0.05;
  stage.train.spike_factor = 20;
  ExpectResumes(stage.Once(), cuts, [](const fs::path& whole) {
    EXPECT_GT(ParsedMetrics(whole).back()["level"], 1);
    EXPECT_TRUE(fs::exists(whole / "rollouts/step-4.jsonl"));
  });
}

TEST(Resume, ImprovementIsBitwise) {
  Improvement stage;
  ExpectImprovementResumes(stage, {.stopped_in = {3}, .killed_in = {5}});
}

TEST(ResumeSlow, ImprovementIsBitwiseAtManyPoints) {
  Improvement stage;
  stage.rl.steps = 16;
  stage.rl.updates_per_round = 2;
  ExpectImprovementResumes(stage, {.stopped_in = {1, 10}, .killed_in = {4, 15}, .moments = 3, .seed = 6});
}

}  // namespace
}  // namespace sputnik
