// Objectives: plain functions from log-probabilities to a loss and the gradient that is sent back through the model.
#pragma once

#include <functional>
#include <span>

#include "tensor/batch.h"

namespace sputnik {

// What an objective sees of one micro-batch: the tokens that have targets, in batch order.
struct ObjectiveInput {
  const Batch& batch;
  int64_t micro_batch;               // its place in the step
  std::span<const int32_t> rows;     // batch row of each entry
  std::span<const float> logprobs;   // of batch.targets[row], natural log
  std::span<const float> entropies;  // nats; empty unless asked for
};

// Adds to `seeds` d loss / d logprob and returns the micro-batch's share of the loss.
using Objective = std::function<double(const ObjectiveInput&, std::span<float> seeds)>;

// Weighted next-token cross-entropy, -Σ w log p / total_weight; total_weight is over all micro-batches of the step.
double CrossEntropy(std::span<const int32_t> rows, std::span<const float> weights, std::span<const float> logprobs,
                    double total_weight, std::span<float> seeds);

double TotalWeight(std::span<const Batch> micro_batches);

}  // namespace sputnik
