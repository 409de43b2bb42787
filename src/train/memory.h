// How much memory training needs, before it is asked for.
#pragma once

#include <cstdint>

#include "model/adapter.h"
#include "model/config.h"
#include "train/config.h"

namespace sputnik {

struct MemoryEstimate {
  int64_t parameters = 0, gradients = 0, optimizer = 0;  // bytes, for the whole run
  int64_t activations = 0;                               // bytes, for one micro-batch with its gradients
  int64_t total() const { return parameters + gradients + optimizer + activations; }
};

MemoryEstimate EstimateTrainingMemory(const ModelConfig& config, const OptimizerConfig& optimizer,
                                      int64_t micro_batch_tokens, bool recompute, bool with_mtp);

// The same where only an adapter is learnt: of the weights there is what `weight_bytes` says (in their files' pages or
// widened), without gradients or moments.
MemoryEstimate EstimateAdapterMemory(const ModelConfig& config, const AdapterConfig& adapter, int64_t weight_bytes,
                                     const OptimizerConfig& optimizer, int64_t micro_batch_tokens, bool recompute,
                                     bool with_mtp);

// Bytes of one forward of `tokens` that neither learns nor keeps a block's memory, with its rotations.
int64_t EstimateForwardMemory(const ModelConfig& config, int64_t tokens);

// Bytes this process may still take: the smaller of what is free and what its control group allows.
int64_t AvailableMemory();

// Throws Error (usage) if the estimate is more than there is, saying which micro_batch_tokens would fit.
void CheckTrainingMemory(const ModelConfig& config, const OptimizerConfig& optimizer, const TrainConfig& train,
                         int64_t available);
// Throws Error (usage) likewise, and returns the estimate otherwise. `adapter` with its targets.
MemoryEstimate CheckAdapterMemory(const ModelConfig& config, const AdapterConfig& adapter, int64_t weight_bytes,
                                  const OptimizerConfig& optimizer, const TrainConfig& train, int64_t available);

}  // namespace sputnik
