// A linear layer as blocks see it: frozen or learnt matrices that read the same input, their outputs side by side, and
// the matrices of low rank that an adapter adds to some of them (LoRA). Sampling, scoring and training all come by
// here.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "op/linear.h"

namespace sputnik {

struct Projection {
  Projection() = default;
  Projection(const Tensor& w) : parts{w} {}
  Projection(std::vector<Tensor> w) : parts(std::move(w)) {}

  struct Addition {
    int64_t first;  // output that it begins at
    LowRank w;
  };

  bool defined() const { return !parts.empty(); }
  int64_t outputs() const;
  int64_t inputs() const { return parts[0].size(1); }

  std::vector<Tensor> parts;  // [outputs, inputs] each
  std::vector<Addition> additions;
};

// The same of experts, each with its own.
struct ExpertProjection {
  struct Addition {
    int64_t first;
    std::vector<LowRank> experts;
  };

  std::vector<std::vector<Tensor>> parts;  // by part, then by expert
  std::vector<Addition> additions;
};

Tensor Linear(Pass& pass, const Tensor& x, const Projection& w);
Tensor GroupedLinear(Pass& pass, const Tensor& x, std::span<const int32_t> group_start, const ExpertProjection& w);

}  // namespace sputnik
