#include "train/loss.h"

#include "base/check.h"

namespace sputnik {

double CrossEntropy(std::span<const int32_t> rows, std::span<const float> weights, std::span<const float> logprobs,
                    double total_weight, std::span<float> seeds) {
  CHECK_EQ(rows.size(), logprobs.size());
  CHECK_EQ(rows.size(), seeds.size());
  double loss = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    const double share = static_cast<double>(weights[static_cast<size_t>(rows[i])]) / total_weight;
    loss -= share * static_cast<double>(logprobs[i]);
    seeds[i] += static_cast<float>(-share);
  }
  return loss;
}

double TotalWeight(std::span<const Batch> micro_batches) {
  double total = 0;
  for (const Batch& batch : micro_batches) {
    for (size_t i = 0; i < batch.targets.size(); ++i) {
      if (batch.targets[i] >= 0) total += static_cast<double>(batch.weights[i]);
    }
  }
  return total;
}

}  // namespace sputnik
