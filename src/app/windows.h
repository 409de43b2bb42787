// Windows of text on their way from the loader to a training step.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"
#include "tensor/batch.h"

namespace sputnik {

// A batch of windows as micro-batches of at most so many tokens, a window at least in each; none is cut.
std::vector<Batch> SplitWindows(const Batch& batch, int64_t micro_batch_tokens);

// Gives every window a sorted random subset of the model's positions: a pure function of (seed, step).
void RandomiseWindows(Batch& batch, const ModelConfig& model, uint64_t seed, int64_t step);

}  // namespace sputnik
