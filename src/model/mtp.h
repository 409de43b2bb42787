// Multi-token prediction (V3 report §2.2, eq. 21–25): module k reads the previous hidden states and the embedding of
// the token k further on, runs one block, and predicts one token further still through the shared head.
#pragma once

#include "model/block.h"

namespace sputnik {

struct MtpWeights {
  Tensor embedding_norm, hidden_norm;  // enorm, hnorm
  Tensor projection;                   // eh_proj [d, 2d]: columns [embedding | hidden], as published weights have it
  BlockWeights block;
  Tensor head_norm;  // shared_head.norm
};

MtpWeights CollectMtp(const ModelConfig& config, const Params& params, int64_t depth);

// hidden [N, d]: the main model's last block before the final norm, or the previous module's. ahead [N]: the id of the
// token `depth` places further on in its sequence (anything where there is none: such rows predict nothing).
// Returns the module's hidden states before shared_head.norm.
Tensor Mtp(Pass& pass, const ModelConfig& config, const MtpWeights& weights, const ForwardContext& context,
           const Tensor& hidden, const Tensor& embedding, const int32_t* ahead);

}  // namespace sputnik
