// Mixture of experts: routing tokens, moving them to experts, and bringing results back (DeepSeek-V3 report §2.1.2).
#pragma once

#include <span>

#include "op/pass.h"

namespace sputnik {

struct RouterOptions {
  RouterScore score = RouterScore::kSigmoid;
  RouterMethod method = RouterMethod::kNoAuxTc;
  int64_t top_k = 1, groups = 1, top_groups = 1;
  bool normalise = true;
  double scaling = 1;
  // Sequence-wise balance loss: its gradient is added on the way back with this weight per token (α / tokens in the
  // step); 0 turns it off.
  double balance_weight = 0;
};

struct Routing {
  Tensor weights;                   // [N, top_k], differentiable
  std::span<int32_t> chosen;        // [N · top_k] expert ids
  std::span<int32_t> expert_start;  // [experts + 1] first sorted row of each expert
  int32_t* row_token = nullptr;     // [N · top_k] token of each sorted row
  int32_t* slot_row = nullptr;      // [N, top_k] sorted row of each slot
  double balance_loss = 0;  // Σ over sequences of tokens · Σ_i f_i P_i (V3 eq. 17–20), times balance_weight
};

// logits [N, experts]; bias [experts] float32 or undefined; sequence_start [S+1] splits tokens for the balance loss.
Routing Route(Pass& pass, const Tensor& logits, const Tensor& bias, const RouterOptions& options,
              std::span<const int32_t> sequence_start);

// y[t] = base[t] + Σ_k weights[t,k] · x[slot_row[t,k]].
Tensor Combine(Pass& pass, const Tensor& x, const Routing& routing, const Tensor& base);

}  // namespace sputnik
