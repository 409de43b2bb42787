// Multi-head latent attention (V2 report §2.1, V3 report eq. 1–11).
#pragma once

#include "model/block.h"

namespace sputnik {

// x [N, d] → [N, d]. Without a cache, or with a cache of expanded form: keys and values per head. With a cache of
// absorbed form: attention in the latent space.
Tensor Mla(Pass& pass, const ModelConfig& config, const MlaWeights& weights, const ForwardContext& context,
           int64_t layer, const Tensor& x);

}  // namespace sputnik
