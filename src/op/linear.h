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

// A matrix of low rank added to a frozen one (LoRA, Hu et al. 2021, eq. 3): scale · b · a, with a [rank, inputs] and
// b [outputs, rank].
struct LowRank {
  Tensor a, b;
  double scale = 1;
};

// y += scale · (x · aᵀ) · bᵀ. y is a view of outputs of Linear, or of another op that does not need them on the way
// back.
void AddLowRank(Pass& pass, const Tensor& x, const LowRank& w, const Tensor& y);

// The same for groups of rows with one each, as in GroupedLinear; all share rank and scale.
void AddGroupedLowRank(Pass& pass, const Tensor& x, std::span<const int32_t> group_start, std::span<const LowRank> w,
                       const Tensor& y);

// Per-head products of latent attention's absorbed form, for inference only (they record nothing).
//   down: y[n,h,:] = x[n,h,:] · w[h]      x [N, H, a], w [H, a, b] → y [N, H, b], written into `y`
//   up:   y[n,h,:] = w[h] · x[n,h,:]      x [N, H, b], w [H, a, b] → y [N, H, a]
void HeadwiseDown(Pass& pass, const Tensor& x, const Tensor& w, const Tensor& y);
void HeadwiseUp(Pass& pass, const Tensor& x, const Tensor& w, const Tensor& y);

// What a matrix of low rank adds to them: w[h] = scale · b[h] · a for b [H, a, rank] (given as [H · a, rank], of which
// each head's rows [first, first + x's or y's width) count) and a [rank, b]. y is added to; x and y lie head by head.
void AddLowRankDown(Pass& pass, const Tensor& x, const LowRank& w, int64_t first, const Tensor& y);
void AddLowRankUp(Pass& pass, const Tensor& x, const LowRank& w, int64_t first, const Tensor& y);

}  // namespace sputnik
