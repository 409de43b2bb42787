// Matrix products. Weights are [outputs, inputs], as checkpoints store them; there are no biases in this family.
#pragma once

#include <span>
#include <vector>

#include "op/pass.h"

namespace sputnik {

// y[rows, outputs] = x[rows, inputs] · wᵀ. Views with strided rows are fine for x and w.
Tensor Linear(Pass& pass, const Tensor& x, const Tensor& w);

// The same for matrices that read the same input: y = [x · w[0]ᵀ | x · w[1]ᵀ | …]. Each output is one chain of its own,
// so that it does not matter which of them lie together in memory as one matrix.
Tensor Linear(Pass& pass, const Tensor& x, std::span<const Tensor> w);

// The same for consecutive groups of rows with a weight each (experts): rows [group_start[g], group_start[g+1]) use
// w[g]. All w share shape and row stride. group_start and the pointers' storage must outlive the tape: they lie in the
// arena.
Tensor GroupedLinear(Pass& pass, const Tensor& x, std::span<const int32_t> group_start, std::span<const Tensor> w);

// For lists of such weights that read the same rows, with their outputs side by side.
Tensor GroupedLinear(Pass& pass, const Tensor& x, std::span<const int32_t> group_start,
                     std::span<const std::vector<Tensor>> w);

// Per-head products of latent attention's absorbed form, for inference only (they record nothing).
//   down: y[n,h,:] = x[n,h,:] · w[h]      x [N, H, a], w [H, a, b] → y [N, H, b], written into `y`
//   up:   y[n,h,:] = w[h] · x[n,h,:]      x [N, H, b], w [H, a, b] → y [N, H, a]
void HeadwiseDown(Pass& pass, const Tensor& x, const Tensor& w, const Tensor& y);
void HeadwiseUp(Pass& pass, const Tensor& x, const Tensor& w, const Tensor& y);

}  // namespace sputnik
