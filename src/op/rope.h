// Rotary position embedding (Su et al. 2021) on interleaved pairs, with YaRN's frequencies when the model has them
// (model/rotary computes the table).
#pragma once

#include "op/pass.h"

namespace sputnik {

// Rotates x [tokens, heads, dim] in place by each token's position. The op that made x must not need x's old value in
// its backward. `table` is [positions, dim]: cos and sin of pair i at columns 2i and 2i+1. `positions` outlives the
// tape.
void RopeInPlace(Pass& pass, const Tensor& x, const Tensor& table, const int32_t* positions);

}  // namespace sputnik
