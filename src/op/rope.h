// Rotary position embedding (Su et al. 2021), with whatever frequencies the model has (model/rotary computes the
// table).
#pragma once

#include "op/pass.h"

namespace sputnik {

// Rotates x [tokens, heads, dim] in place by each token's position. The op that made x must not need x's old value in
// its backward. `table` is [positions, dim], in the layout of the pairs. `positions` outlives the tape.
void RopeInPlace(Pass& pass, const Tensor& x, const Tensor& table, const int32_t* positions,
                 RopeLayout layout = RopeLayout::kInterleaved);

}  // namespace sputnik
