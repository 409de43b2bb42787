// Dense SwiGLU feed-forward: W_down( silu(W_gate x) ⊙ W_up x ), with biases where the weights have them.
#pragma once

#include "model/block.h"

namespace sputnik {

Tensor Ffn(Pass& pass, const FfnWeights& weights, const Tensor& x);  // [N, d] → [N, d]

}  // namespace sputnik
