// One round of attempts: problems, the policy's completions, and their rewards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "data/packer.h"
#include "engine/engine.h"
#include "rl/config.h"
#include "rl/curriculum.h"
#include "task/prompt.h"
#include "task/task.h"

namespace sputnik {

struct Rollout {
  Problem problem;
  std::vector<int32_t> prompt;
  Completion completion;
  Score score;
  double reward = 0;  // what is learnt from: the task's, or a coin's
  double advantage = 0;
};

// The samples of one prompt.
struct RolloutGroup {
  std::vector<Rollout> rollouts;
  bool uniform = false;  // all rewards equal
};

// What rollouts are drawn with.
struct RolloutSource {
  Engine& engine;
  const Tokenizer& tokenizer;
  const Task& task;
  const RlConfig& config;
  uint64_t seed;
};

// Round `step` of prompts (and, with resample_rounds, further ones until prompts_per_step groups are mixed), each
// sampled group_size times from the engine's current weights, graded, with advantages. A pure function of (weights,
// seed, step, curriculum).
std::vector<RolloutGroup> CollectRollouts(const RolloutSource& source, const Curriculum& curriculum, int64_t step);

// The sequence that is learnt from: prompt and completion, with weight 1 on the completion's tokens.
Sample TrainingSample(const Rollout& rollout);

// Figures of a round under TRL's names, in the order they are logged; beside them pass@k, the share of prompts with a
// right one among their k samples, and accuracy/LEVEL. There must be a group.
std::vector<std::pair<std::string, double>> RolloutMetrics(const std::vector<RolloutGroup>& groups);

// rollouts/step-N.jsonl: prompt ids, output ids, log-probabilities, reward parts.
void WriteRollouts(const std::filesystem::path& path, const Tokenizer& tokenizer,
                   const std::vector<RolloutGroup>& groups);

}  // namespace sputnik
