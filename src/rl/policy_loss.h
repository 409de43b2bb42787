// The policy objective: a plain function from log-probabilities to a loss and its gradient.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "rl/config.h"

namespace sputnik {

// One completion among the entries of a micro-batch: entries [begin, end) are its tokens' log-probabilities.
struct PolicySample {
  int64_t begin = 0, end = 0;
  double advantage = 0;
};

struct PolicyStats {
  double max_abs_difference = 0;  // of new and old log-probabilities
  double kl = 0;                  // Σ k3
  int64_t tokens = 0;
  int64_t ratios = 0, clipped_low = 0, clipped_high = 0;  // one per token, or per sequence (GSPO)
};

// Clipped surrogate with per-token ratios ρ = exp(new - old) (GRPO eq. 3; DAPO's asymmetric clip), or one ratio per
// sequence, the exponential of the mean difference (GSPO, arXiv 2507.18071 eq. 7), plus kl_weight · k3 against
// `reference` (empty when the weight is 0), k3 = exp(ref - new) - (ref - new) - 1.
// Each sample's tokens weigh by loss_normalisation: 1 / total_tokens; 1 / (total_samples · length); or
// 1 / (total_samples · max_tokens). Adds d loss / d new to `seeds` and returns the loss.
double PolicyLoss(const RlConfig& config, std::span<const PolicySample> samples, std::span<const float> new_logprobs,
                  std::span<const float> old_logprobs, std::span<const float> reference, double total_tokens,
                  double total_samples, std::span<float> seeds, PolicyStats& stats);

}  // namespace sputnik
