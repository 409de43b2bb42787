// Grouped-query attention (Ainslie et al. 2023): several query heads read one head of keys and values. With biases and
// with RMS norms of each query and key head (Henry et al. 2020), where the family has them.
#pragma once

#include "model/block.h"

namespace sputnik {

// x [N, d] → [N, d], with or without a cache.
Tensor Gqa(Pass& pass, const ModelConfig& config, const GqaWeights& weights, const ForwardContext& context,
           int64_t layer, const Tensor& x);

}  // namespace sputnik
