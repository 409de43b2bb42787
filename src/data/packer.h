// From samples of any length to one ragged Batch, and the division of many samples into batches that fit.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/batch.h"

namespace sputnik {

// A sequence to learn from.
struct Sample {
  std::vector<int32_t> ids;
  std::vector<float> target_weights;    // weight of predicting ids[i] from ids[<i]; [0] is 0
  std::vector<int32_t> positions = {};  // empty: 0, 1, 2, ...
};

// Puts the samples one after another as sequences that do not see each other: targets[i] = ids[i + 1] with the weight
// of that prediction, and -1 where that weight is 0 and at each sequence's end. No sample may be empty.
Batch Pack(std::span<const Sample> samples);
Batch Pack(std::span<const Sample> samples, std::span<const int64_t> chosen);  // samples[chosen[0]], ...

// Cuts samples 0, 1, 2, ... of the given lengths into runs of at most `max_tokens` each, as long as they can be; a
// sample longer than that is alone. A pure function of its arguments. Returns the indices of each run.
std::vector<std::vector<int64_t>> PlanMicroBatches(std::span<const int64_t> lengths, int64_t max_tokens);

}  // namespace sputnik
