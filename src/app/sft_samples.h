// What fine-tuning imitates: a task's solved problems, or conversations from a file.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "app/recipe.h"
#include "tensor/batch.h"
#include "text/tokenizer.h"

namespace sputnik {

// The micro-batches of one step: a pure function of the step.
using StepBatches = std::function<std::vector<Batch>(int64_t step)>;

// Solved problems of config.task, as many as fill batch_tokens, levels drawn as the config says. The arguments must
// outlive the result. Throws Error (usage) for a task or a level that does not exist.
StepBatches ProblemBatches(const SftConfig& config, const ModelConfig& model, const Tokenizer& tokenizer,
                           const TaskOptions& options, uint64_t seed);

// The conversations of config.conversations, in an order that is a pure function of (seed, epoch). Throws Error (bad
// input) naming file and line for a broken one, and for one that is longer than the model has positions.
StepBatches ConversationBatches(const SftConfig& config, const ModelConfig& model, const Tokenizer& tokenizer,
                                uint64_t seed);

}  // namespace sputnik
