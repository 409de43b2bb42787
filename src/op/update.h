// Optimizer updates and gradient norms; see kernel/args.h for the formulas.
#pragma once

#include <span>

#include "op/pass.h"

namespace sputnik {

struct AdamWOptions {
  double lr = 0, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0;
};
// One AdamW step number `t` (from 1) on contiguous tensors of equal size; gradient is multiplied by gradient_scale
// first.
void AdamWUpdate(const Machine& machine, const AdamWOptions& options, int64_t t, double gradient_scale,
                 const Tensor& parameter, const Tensor& gradient, const Tensor& first, const Tensor& second);

struct MuonOptions {
  double lr = 0, momentum = 0.95, weight_decay = 0, rms_factor = 0.2;
  int64_t iterations = 5;
};
void MuonUpdate(const Machine& machine, const MuonOptions& options, double gradient_scale, DType dtype,
                std::span<const MuonMatrix> matrices);

double SumOfSquares(const Machine& machine, const Tensor& x);  // x contiguous

}  // namespace sputnik
