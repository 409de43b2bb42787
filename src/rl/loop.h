// Reinforcement learning with verifiable rewards: collect, grade, compare within the group, learn, repeat (GRPO as in
// DeepSeek-R1). The engine samples from the very parameters that the trainer changes.
#pragma once

#include <functional>
#include <string>

#include "rl/config.h"
#include "rl/rollout.h"
#include "task/task.h"
#include "train/loop.h"

namespace sputnik {

struct ImproveInputs {
  std::string name;
  int64_t first_global_step = 0;
  uint64_t seed = 1;
  RlConfig rl;
  TrainConfig train;  // micro-batches, checkpoints, router bias, guards; steps are rl.steps
  OptimizerConfig optimizer;
  const Tokenizer& tokenizer;
  const Task& task;
  const Decoder* reference = nullptr;                             // for kl_weight: the weights the stage started from
  std::function<void(int64_t step, MetricsLine& line)> evaluate;  // as in StageInputs
};

StageResult RunImprove(Trainer& trainer, RunFolder& run, const ImproveInputs& inputs, const RunState& start);

}  // namespace sputnik
