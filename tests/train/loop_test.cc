#include "train/loop.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/clock.h"
#include "base/json.h"
#include "data/loader.h"
#include "data/packer.h"
#include "data/positions.h"
#include "kernel/backend.h"
#include "model/checkpoint.h"
#include "tests/support/expect_error.h"
#include "tests/support/resume.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_model.h"

namespace sputnik {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kArena = int64_t{1} << 28;
const std::string kHash(64, 'a');

// A stage of the tiny model, and what a test wants to change about it.
class Stage {
 public:
  Stage() {
    inputs.name = "pretrain";
    inputs.train.steps = 12;
    inputs.train.save_every = 3;
    inputs.train.eval_every = 4;
    inputs.train.log_every = 5;
    inputs.train.spike_factor = 0;
    inputs.optimizer.warmup_steps = 2;
    inputs.batches = [this](int64_t step) {
      return std::vector<Batch>{RandomBatch(config, {12, 9}, static_cast<uint64_t>(step)),
                                RandomBatch(config, {7}, static_cast<uint64_t>(step) + 1000)};
    };
  }

  // From where the folder stands, as the program does it.
  StageResult Run(const fs::path& folder) {
    ThreadPool pool(1);
    const Machine machine{KernelsFor("cpu"), pool};
    RunFolder run(folder, true, {}, 0);
    if (extra_files) run.SetExtraFiles(extra_files);
    Decoder decoder(config, DType::kF32, true);
    RunState start;
    if (run.checkpoint()) {
      LoadWeights(*run.checkpoint(), decoder);
      start = run.resumed();
      if (start.stage != inputs.name) start = {.global_step = start.global_step};
      start.stage_done = false;
    } else {
      decoder.params().Initialise(config, 1);
    }
    inputs.first_global_step = start.global_step - start.stage_step;
    Trainer trainer(decoder, machine, inputs.optimizer, kArena);
    if (start.stage_step > 0) trainer.optimizer().Load(*run.checkpoint() / "trainer" / "optimizer.safetensors");
    return RunStage(trainer, run, inputs, start);
  }

  // The stage as a run that can be cut short after any step.
  RunOnce Once() {
    inputs.train.eval_every = 1;
    return [this](const fs::path& folder, const std::function<void(int64_t)>& after_step) {
      inputs.evaluate = [&](int64_t step, MetricsLine& line) {
        line.Set("evaluated", step);
        line.SetQuality(std::cos(static_cast<double>(step)));  // best checkpoints now and then
        after_step(step);
      };
      return !Run(folder).stopped;
    };
  }

  ModelConfig config = TinyConfig();
  StageInputs inputs;
  std::function<void(const fs::path&)> extra_files;
};

TEST(RunStage, LogsEveryStepAndEndsWithAPinnedCheckpoint) {
  const TemporaryFolder folder;
  Stage stage;
  stage.inputs.evaluate = [](int64_t, MetricsLine& line) { line.Set("val_loss", 1.0); };
  stage.config.num_nextn_predict_layers = 1;
  const StageResult result = stage.Run(folder.path());
  EXPECT_FALSE(result.stopped);
  EXPECT_TRUE(result.state.stage_done);
  EXPECT_EQ(result.state.stage_step, 12);
  const std::vector<Json> lines = ParsedMetrics(folder.path());
  ASSERT_EQ(lines.size(), 12u);
  for (size_t i = 0; i < 12; ++i) {
    const auto step = static_cast<int64_t>(i) + 1;
    EXPECT_EQ(lines[i]["step"], step);
    EXPECT_EQ(lines[i]["stage"], "pretrain");
    EXPECT_EQ(lines[i]["num_tokens"], 28 * step);
    for (const char* key : {"loss", "mtp_loss", "grad_norm", "lr", "expert_load_max_over_mean"}) {
      EXPECT_TRUE(lines[i].contains(key)) << key;
    }
    EXPECT_EQ(lines[i].contains("val_loss"), step % 4 == 0) << step;
    EXPECT_EQ(lines[i].contains("expert_loads"), step % 5 == 0 || step == 12) << step;
  }
  EXPECT_EQ(lines[0]["lr"].get<double>(), 0.5 * stage.inputs.optimizer.lr);
  EXPECT_DOUBLE_EQ(result.last_loss, lines.back()["loss"].get<double>());
  EXPECT_TRUE(ReadJsonFile(folder / "checkpoints/step-12/MANIFEST.json")["pinned"].get<bool>());
  EXPECT_EQ(ReadJsonFile(folder / "ledger.json")["stages"]["pretrain"]["trained_tokens"], 28 * 12);
}

// Saving the first checkpoint outlasts the stage's time, after the step was found not to be the last: the stage then
// must not end without its last evaluation.
TEST(RunStage, TimeThatRunsOutWhileSavingStillBringsTheLastEvaluation) {
  const TemporaryFolder folder;
  Stage stage;
  stage.inputs.train.steps = 1000000;
  stage.inputs.train.save_every = 1;
  stage.inputs.train.eval_every = 0;
  stage.inputs.train.max_seconds = 0.5;
  int64_t evaluated = 0;
  stage.inputs.evaluate = [&](int64_t step, MetricsLine&) { evaluated = step; };
  stage.extra_files = [](const fs::path&) { std::this_thread::sleep_for(std::chrono::milliseconds(600)); };
  testing::internal::CaptureStderr();
  const StageResult result = stage.Run(folder.path());
  const std::string shown = testing::internal::GetCapturedStderr();
  EXPECT_NE(shown.find("  0:01 left"), std::string::npos) << "the time ends the stage, not its steps: " << shown;
  EXPECT_TRUE(result.state.stage_done);
  EXPECT_GT(evaluated, 0);
  EXPECT_EQ(evaluated, result.state.stage_step);
}

// Time that an evaluation takes is not the stage's.
TEST(RunStage, EvaluationsAreBookedApart) {
  const TemporaryFolder folder;
  Stage stage;
  stage.inputs.train.steps = 4;
  stage.inputs.train.eval_every = 1;
  stage.inputs.evaluate = [](int64_t, MetricsLine&) { std::this_thread::sleep_for(std::chrono::milliseconds(30)); };
  const double start = WallSeconds();
  stage.Run(folder.path());
  const double passed = WallSeconds() - start;
  const Json stages = ReadJsonFile(folder / "ledger.json")["stages"];
  EXPECT_GE(stages["evaluation"]["wall_seconds"], 0.12);
  EXPECT_LE(stages["pretrain"]["wall_seconds"], passed - 0.12);
  EXPECT_GT(stages["pretrain"]["core_seconds"], 0);
  EXPECT_LE(ReadJsonFile(folder / "ledger.json")["total"]["wall_seconds"], passed);
}

TEST(RunStage, AStopBeforeTheFirstStepKeepsTheEndOfTheStageBefore) {
  const TemporaryFolder folder;
  Stage pretrain;
  pretrain.Run(folder.path());
  Stage sft;
  sft.inputs.name = "sft";
  InstallStopSignals();
  ::raise(SIGTERM);
  EXPECT_TRUE(sft.Run(folder.path()).stopped);
  ClearStopRequest();
  const RunState state = ReadRunState(*NewestCheckpoint(folder.path()));
  EXPECT_EQ(state.stage, "pretrain");
  EXPECT_TRUE(state.stage_done);
  EXPECT_EQ(sft.Run(folder.path()).state.global_step, 24);
  EXPECT_TRUE(fs::exists(folder / "checkpoints/step-12")) << "pinned";
}

TEST(RunStage, AStopBeforeAnythingLeavesACheckpointToResume) {
  const TemporaryFolder folder, whole;
  Stage stage;
  InstallStopSignals();
  ::raise(SIGINT);
  EXPECT_TRUE(stage.Run(folder.path()).stopped);
  ClearStopRequest();
  EXPECT_TRUE(NewestCheckpoint(folder.path()));
  stage.Run(folder.path());
  stage.Run(whole.path());
  ExpectSameRun(folder.path(), whole.path());
}

TEST(RunStage, TheBestEvaluationIsSavedAndKept) {
  const TemporaryFolder folder;
  Stage stage;
  stage.inputs.train.keep_last = 1;
  stage.inputs.train.eval_every = 1;
  const double qualities[] = {1, 0.5, 3, 2, 3, 3, 0, 1, 0, 1, 0, 1};
  stage.inputs.evaluate = [&](int64_t step, MetricsLine& line) { line.SetQuality(qualities[step - 1]); };
  const StageResult result = stage.Run(folder.path());
  EXPECT_EQ(result.state.best_step, 3) << "an equal one is not better";
  EXPECT_EQ(ReadFile(folder / "checkpoints/best"), "step-3\n");
  EXPECT_EQ(ReadRunState(folder / "checkpoints/step-3").stage_step, 3);
  VerifyCheckpoint(folder / "checkpoints/step-3");
  EXPECT_FALSE(fs::exists(folder / "checkpoints/step-6"));
}

TEST(NoteQuality, OnlyBetterFiguresCount) {
  RunState state;
  const auto note = [&](double quality, int64_t step) {
    MetricsLine line("s", step);
    line.SetQuality(quality);
    return NoteQuality(line, step, state);
  };
  EXPECT_FALSE(NoteQuality(MetricsLine("s", 1), 1, state));
  EXPECT_FALSE(note(std::numeric_limits<double>::quiet_NaN(), 2));
  EXPECT_TRUE(note(-5, 3));
  EXPECT_FALSE(note(-5, 4));
  EXPECT_FALSE(note(-6, 5));
  EXPECT_TRUE(note(-4, 6));
  EXPECT_EQ(state.best_step, 6);
}

// Poisons the batches of some steps: their loss is not a number.
void Poison(Stage& stage, int64_t first, int64_t count) {
  stage.inputs.batches = [clean = stage.inputs.batches, first, count](int64_t step) {
    std::vector<Batch> batches = clean(step);
    if (step >= first && step < first + count) batches[0].weights[2] = std::numeric_limits<float>::quiet_NaN();
    return batches;
  };
}

TEST(RunStage, APoisonedStepIsSkippedAndLogged) {
  const TemporaryFolder folder;
  Stage stage;
  Poison(stage, 4, 2);
  EXPECT_TRUE(stage.Run(folder.path()).state.stage_done);
  const std::vector<Json> lines = ParsedMetrics(folder.path());
  ASSERT_EQ(lines.size(), 12u);
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].contains("skipped"), i == 4 || i == 5) << i;
    EXPECT_EQ(lines[i]["loss"].is_null(), i == 4 || i == 5) << i;
  }
}

TEST(RunStage, TooManyPoisonedStepsEndTheRunAndNameTheLastGoodCheckpoint) {
  const TemporaryFolder folder;
  Stage stage;
  stage.inputs.train.max_skipped = 3;
  Poison(stage, 7, 100);
  const std::string message = ExpectError(ExitCode::kNumeric, [&] { stage.Run(folder.path()); });
  EXPECT_MENTIONS(message, "step-9");
  EXPECT_MENTIONS(message, "the loss is not finite");
  // What was saved among the skipped steps is good: with clean data the run goes on, counting from there.
  Stage clean;
  EXPECT_TRUE(clean.Run(folder.path()).state.stage_done);
  const std::vector<Json> lines = ParsedMetrics(folder.path());
  ASSERT_EQ(lines.size(), 12u);
  EXPECT_TRUE(lines[8].contains("skipped"));
  EXPECT_FALSE(lines[9].contains("skipped"));
  EXPECT_TRUE(std::isfinite(lines[11]["loss"].get<double>()));
}

TEST(RunStage, NothingSavedYetIsSaid) {
  const TemporaryFolder folder;
  Stage stage;
  stage.inputs.train.max_skipped = 2;
  Poison(stage, 0, 100);
  EXPECT_MENTIONS(ExpectError(ExitCode::kNumeric, [&] { stage.Run(folder.path()); }), "nothing was saved yet");
}

TEST(SpikeGuard, LimitsNormsOnceTheyAreKnown) {
  const TemporaryFolder folder;
  const RunFolder run(folder.path(), true, {}, 0);
  TrainConfig config;
  config.spike_factor = 10;
  config.max_skipped = 3;
  SpikeGuard guard(config, {});
  EXPECT_EQ(guard.Limit(), 0) << "nothing is known yet";
  for (int i = 0; i < 20; ++i) guard.Note({.gradient_norm = 2}, run);
  EXPECT_DOUBLE_EQ(guard.Limit(), 20);
  const StepResult bad{.gradient_norm = 1e9, .skipped = true, .skip_reason = "a spike"};
  guard.Note(bad, run);
  guard.Note(bad, run);
  EXPECT_DOUBLE_EQ(guard.Limit(), 20) << "skipped steps do not count";
  RunState state;
  guard.Store(state);
  SpikeGuard resumed(config, state);
  EXPECT_DOUBLE_EQ(resumed.Limit(), 20);
  EXPECT_MENTIONS(ExpectError(ExitCode::kNumeric, [&] { resumed.Note(bad, run); }), "a spike");
  guard.Note({.gradient_norm = 2}, run);  // a good step starts the count again
  guard.Note(bad, run);
  EXPECT_NO_THROW(guard.Note(bad, run));
}

TEST(SpikeGuard, ANormOfOneIsNoSpikeHoweverSmallTheMean) {
  const TemporaryFolder folder;
  const RunFolder run(folder.path(), true, {}, 0);
  TrainConfig config;
  config.spike_factor = 10;
  SpikeGuard guard(config, {});
  for (int i = 0; i < 100; ++i) guard.Note({.gradient_norm = 1e-4}, run);
  EXPECT_DOUBLE_EQ(guard.Limit(), 10);
}

TEST(RunStage, AGradientSpikeIsSkipped) {
  const TemporaryFolder folder;
  Stage stage;
  stage.inputs.train.steps = 24;
  stage.inputs.train.spike_factor = 3;
  stage.inputs.batches = [clean = stage.inputs.batches](int64_t step) {
    std::vector<Batch> batches = clean(0);
    // Every target the same and never seen: a far steeper loss than the learnt one.
    if (step == 22) {
      for (Batch& batch : batches) {
        for (int32_t& target : batch.targets) target = target < 0 ? target : 36;
      }
    }
    return batches;
  };
  stage.inputs.optimizer.optimizer = "adamw";
  stage.inputs.optimizer.lr = 0.02;
  stage.Run(folder.path());
  const std::vector<Json> lines = ParsedMetrics(folder.path());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i].contains("skipped"), i == 22) << lines[i].dump();
  EXPECT_MENTIONS(lines[22].value("skipped", ""), "spike limit");
  // A run that was stopped just before it knows the limit still.
  const TemporaryFolder stopped, whole;
  RunStoppedAt(stage.Once(), stopped.path(), 21);
  stage.Once()(whole.path(), Nothing);
  ExpectSameRun(stopped.path(), whole.path());
}

// Pretraining over a shard, with windows from shifted places and randomised positions.
class Pretraining : public Stage {
 public:
  Pretraining() {
    config.position_mode = "randomised";
    config.position_range = 100;
    {
      ShardWriter writer(folder_ / "text.shard", config.vocab_size, kHash);
      Random random(1, kStreamTest);
      for (int document = 0; document < 40; ++document) {
        std::vector<int32_t> ids(3 + random.Below(20));
        for (int32_t& id : ids) id = static_cast<int32_t>(random.Below(37));
        writer.AddDocument(ids, "");
      }
      writer.Finish();
    }
    shard_.emplace(Shard::Open(folder_ / "text.shard", kHash));
    loader_.emplace(*shard_,
                    LoaderOptions{.context = 16, .batch_tokens = 64, .seed = 3, .document_mask = true, .shift = true});
    inputs.train.spike_factor = 20;
    inputs.batches = [this](int64_t step) {
      Batch batch = loader_->Get(step);
      for (size_t s = 0; s + 1 < batch.sequence_start.size(); ++s) {
        const int32_t begin = batch.sequence_start[s], end = batch.sequence_start[s + 1];
        const std::vector<int32_t> drawn =
            RandomPositions(end - begin, 100, 3, HashCombine(static_cast<uint64_t>(step), s));
        std::copy(drawn.begin(), drawn.end(), batch.positions.begin() + begin);
      }
      return std::vector<Batch>{batch};
    };
  }

 private:
  TemporaryFolder folder_;
  std::optional<Shard> shard_;
  std::optional<PretrainLoader> loader_;
};

// Fine-tuning on samples of many lengths with masked prompts, in micro-batches, by AdamW, blocks recomputed.
class FineTuning : public Stage {
 public:
  FineTuning() {
    inputs.name = "sft";
    inputs.optimizer.optimizer = "adamw";
    inputs.train.recompute = true;
    Random random(2, kStreamTest);
    for (int i = 0; i < 23; ++i) {
      Sample sample;
      for (uint64_t length = 4 + random.Below(16), k = 0; k < length; ++k) {
        sample.ids.push_back(static_cast<int32_t>(random.Below(37)));
        sample.target_weights.push_back(k > 2 ? 1.f : 0.f);
      }
      samples_.push_back(std::move(sample));
    }
    inputs.batches = [this](int64_t step) {
      std::vector<Sample> chosen;
      std::vector<int64_t> lengths;
      for (const int64_t i : SampleLoader(23, 5).Get(step, 6)) {
        chosen.push_back(samples_[static_cast<size_t>(i)]);
        lengths.push_back(static_cast<int64_t>(chosen.back().ids.size()));
      }
      std::vector<Batch> batches;
      for (const auto& part : PlanMicroBatches(lengths, 40)) batches.push_back(Pack(chosen, part));
      return batches;
    };
  }

 private:
  std::vector<Sample> samples_;
};

TEST(Resume, PretrainingIsBitwise) {
  Pretraining stage;
  ExpectResumes(stage.Once(), {.stopped_in = {5}, .killed_in = {8}, .moments = 1, .seed = 1});
}

TEST(Resume, FineTuningIsBitwise) {
  FineTuning stage;
  ExpectResumes(stage.Once(), {.stopped_in = {4}, .killed_in = {11}});
}

TEST(ResumeSlow, PretrainingIsBitwiseAtManyPoints) {
  Pretraining stage;
  stage.inputs.train.steps = 30;
  ExpectResumes(stage.Once(), {.stopped_in = {1, 17}, .killed_in = {2, 13, 29}, .moments = 2, .seed = 3});
}

TEST(ResumeSlow, FineTuningIsBitwiseAtManyPoints) {
  FineTuning stage;
  stage.inputs.train.steps = 30;
  ExpectResumes(stage.Once(), {.stopped_in = {9, 26}, .killed_in = {1, 20}, .moments = 2, .seed = 4});
}

}  // namespace
}  // namespace sputnik
