// DeepSeekMoE (V3 report eq. 12–16): shared experts for every token, and the top-k of the routed ones.
#pragma once

#include <span>

#include "model/block.h"

namespace sputnik {

Tensor Moe(Pass& pass, const ModelConfig& config, const MoeWeights& weights, const ForwardContext& context,
           int64_t layer, const Tensor& x);  // [N, d] → [N, d]

// Auxiliary-loss-free balancing after an optimizer step. `loads`: tokens per expert over the whole step.
//   sum_preserving false (V3): b -= rate if the load is above the mean, else b += rate.
//   sum_preserving true (Moonlight): b += rate · (sign(e) - mean sign(e)), e = mean load - load; keeps Σb.
void NudgeRouterBias(std::span<float> bias, std::span<const int64_t> loads, double rate, bool sum_preserving);

}  // namespace sputnik
