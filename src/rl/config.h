// Settings of reinforcement learning with verifiable rewards, as recipes spell them.
#pragma once

#include <cstdint>
#include <string>

#include "base/fields.h"

namespace sputnik {

struct RlConfig {
  int64_t steps = 400, prompts_per_step = 32, group_size = 16, max_tokens = 24;
  double temperature = 1;
  std::string reward = "task";  // task; random: a coin, the control
  // GRPO (arXiv 2402.03300) and its repairs; see docs/paper.md.
  std::string advantage =
      "mean";  // mean: r - mean of the group; std: also over its deviation; none: r (expert iteration)
  std::string loss_normalisation =
      "token";  // token: mean over the round's tokens (DAPO); sequence: 1/|o| (GRPO); constant: 1/max_tokens (Dr.GRPO)
  std::string ratio = "token";  // token, or sequence (GSPO)
  double clip_low = 0.2, clip_high = 0.28;
  double kl_weight = 0;             // k3 estimator against the stage's first weights
  int64_t updates_per_round = 1;    // optimizer steps per rollout round; the samples are dealt out among them
  bool drop_uniform_groups = true;  // groups whose rewards are all equal are not trained on
  int64_t resample_rounds = 0;      // further rounds of prompts while fewer than prompts_per_step groups are mixed
  bool scale_lr = true;             // learning rate times √(mixed groups / prompts_per_step), at most 1
  bool mask_truncated = false;      // completions cut off at max_tokens do not train
  // Curriculum over the task's levels.
  int64_t start_level = 1, max_level = 1;
  double advance_reward = 0.95;  // move on after advance_steps steps in a row above this mean reward
  int64_t advance_steps = 3;
  double replay = 0.5;               // share of prompts drawn from earlier levels
  int64_t replay_from = 1;           // the lowest of them
  int64_t save_rollouts_every = 50;  // steps between rollouts/step-N.jsonl; 0: never

  void ListFields(Fields& fields);
};

}  // namespace sputnik
