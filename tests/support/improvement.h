// Whole runs of reinforcement learning, small enough for tests.
#pragma once

#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "kernel/backend.h"
#include "model/checkpoint.h"
#include "rl/loop.h"
#include "tests/support/byte_tokenizer.h"
#include "tests/support/resume.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_task.h"

namespace sputnik {

// A stage of the tiny policy, and what a test wants to change about it.
class Improvement {
 public:
  Improvement() : tokenizer(MakeByteTokenizer(folder_.path())), config(TinyTextConfig(tokenizer)) {
    rl.steps = 6;
    rl.prompts_per_step = 5;
    rl.group_size = 4;
    rl.max_tokens = 8;
    rl.save_rollouts_every = 2;
    train.micro_batch_tokens = 150;
    train.save_every = 2;
    train.eval_every = 3;
    train.spike_factor = 0;
    train.bias_update_rate = 0.01;
    optimizer.lr = 0.005;
    optimizer.warmup_steps = 2;
  }

  StageResult Run(const std::filesystem::path& folder) {
    ThreadPool pool(threads);
    const Machine machine{KernelsFor("cpu"), pool};
    RunFolder run(folder, true, {}, 0);
    if (extra_files) run.SetExtraFiles(extra_files);
    Decoder decoder(config, DType::kF32, true), reference(config, DType::kF32, false);
    InitialisePolicy(decoder, tokenizer, 1);
    InitialisePolicy(reference, tokenizer, 1);
    RunState start = fresh;
    if (run.checkpoint()) {
      LoadWeights(*run.checkpoint(), decoder);
      start = run.resumed();
      if (start.stage != "improve") start = {.global_step = start.global_step};
      start.stage_done = false;
    }
    Trainer trainer(decoder, machine, optimizer, int64_t{1} << 28);
    if (start.stage_step > 0) trainer.optimizer().Load(*run.checkpoint() / "trainer" / "optimizer.safetensors");
    const StageResult result = RunImprove(trainer, run,
                                          {.name = "improve",
                                           .first_global_step = start.global_step - start.stage_step,
                                           .seed = 5,
                                           .rl = rl,
                                           .train = train,
                                           .optimizer = optimizer,
                                           .tokenizer = tokenizer,
                                           .task = another_task != nullptr ? *another_task : task,
                                           .reference = &reference,
                                           .evaluate = evaluate},
                                          start);
    updates = trainer.optimizer().steps();
    weights.clear();
    for (const Param& param : decoder.params().list()) {
      const std::span<float> values = param.tensor.span<float>();
      weights.insert(weights.end(), values.begin(), values.end());
    }
    return result;
  }

  // Runs in a folder of its own and returns the metrics.
  std::vector<Json> Lines() {
    const TemporaryFolder folder;
    Run(folder.path());
    return ParsedMetrics(folder.path());
  }

  RunOnce Once() {
    train.eval_every = 1;
    return [this](const std::filesystem::path& folder, const std::function<void(int64_t)>& after_step) {
      evaluate = [&](int64_t step, MetricsLine& line) {
        line.SetQuality(std::cos(static_cast<double>(step)));
        after_step(step);
      };
      return !Run(folder).stopped;
    };
  }

 private:
  TemporaryFolder folder_;

 public:
  Tokenizer tokenizer;
  ModelConfig config;
  RlConfig rl;
  TrainConfig train;
  OptimizerConfig optimizer;
  TinyTask task;
  const Task* another_task = nullptr;
  RunState fresh;  // what a run that has no checkpoint starts from
  int threads = 1;
  std::function<void(int64_t, MetricsLine&)> evaluate;
  std::function<void(const std::filesystem::path&)> extra_files;
  int64_t updates = 0;  // of the last run
  std::vector<float> weights;
};

}  // namespace sputnik
