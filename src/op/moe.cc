#include "op/moe.h"

#include <algorithm>

namespace sputnik {
namespace {

// Per sequence: f_i = E / (K T) · (times i was chosen), P_i = mean over tokens of s_i / Σ_j s_j; the loss is Σ f_i P_i.
// Returns the weighted loss and, if `dscores` is given, its gradient in the scores (f is a count: no gradient).
template <class T>
double BalanceLoss(const RouterArgs& args, double weight, std::span<const int32_t> sequence_start, Arena& arena,
                   T* dscores) {
  const ArenaScope scope(arena);
  const auto* scores = static_cast<const T*>(args.scores);
  const int64_t experts = args.experts;
  T* share = arena.New<T>(experts);
  double total = 0;
  for (size_t s = 0; s + 1 < sequence_start.size(); ++s) {
    const int64_t begin = sequence_start[s], end = sequence_start[s + 1];
    if (begin == end) continue;
    std::fill_n(share, experts, T(0));
    const T unit = static_cast<T>(experts) / static_cast<T>(args.top_k * (end - begin));
    for (int64_t i = begin * args.top_k; i < end * args.top_k; ++i) share[args.chosen[i]] += unit;
    for (int64_t t = begin; t < end; ++t) {
      const T* row = scores + t * experts;
      T sum = 0, dot = 0;
      for (int64_t i = 0; i < experts; ++i) sum += row[i];
      for (int64_t i = 0; i < experts; ++i) dot += share[i] * row[i];
      const T mean = dot / sum;  // Σ_i f_i s_i / Σ_j s_j
      total += static_cast<double>(mean);
      if (dscores == nullptr) continue;
      const T scale = static_cast<T>(weight) / sum;
      for (int64_t i = 0; i < experts; ++i) dscores[t * experts + i] = scale * (share[i] - mean);
    }
  }
  return total * weight;
}

}  // namespace

Routing Route(Pass& pass, const Tensor& logits, const Tensor& bias, const RouterOptions& options,
              std::span<const int32_t> sequence_start) {
  CHECK(logits.contiguous());
  const int64_t tokens = logits.size(0), experts = logits.size(1), slots = tokens * options.top_k;
  Arena& arena = pass.arena;
  Routing routing;
  routing.weights = pass.New(logits.dtype(), {tokens, options.top_k});
  routing.chosen = {arena.New<int32_t>(slots), static_cast<size_t>(slots)};
  routing.expert_start = {arena.New<int32_t>(experts + 1), static_cast<size_t>(experts + 1)};
  routing.row_token = arena.New<int32_t>(slots);
  routing.slot_row = arena.New<int32_t>(slots);
  const RouterArgs args{.dtype = logits.dtype(),
                        .score = options.score,
                        .method = options.method,
                        .tokens = tokens,
                        .experts = experts,
                        .top_k = options.top_k,
                        .groups = options.groups,
                        .top_groups = options.top_groups,
                        .normalise = options.normalise,
                        .scaling = options.scaling,
                        .logits = logits.data(),
                        .bias = bias.defined() ? bias.as<float>() : nullptr,
                        .scores = arena.Allocate(tokens * experts * SizeOf(logits.dtype())),
                        .chosen = routing.chosen.data(),
                        .weights = routing.weights.data()};
  pass.kernels.router(args, pass.pool);
  pass.kernels.dispatch({.tokens = tokens,
                         .experts = experts,
                         .top_k = options.top_k,
                         .chosen = args.chosen,
                         .group_start = routing.expert_start.data(),
                         .row_token = routing.row_token,
                         .slot_row = routing.slot_row},
                        pass.pool);
  void* dscores = nullptr;
  if (options.balance_weight != 0) {
    if (pass.recording()) dscores = arena.Allocate(tokens * experts * SizeOf(logits.dtype()));
    routing.balance_loss =
        logits.dtype() == DType::kF64
            ? BalanceLoss(args, options.balance_weight, sequence_start, arena, static_cast<double*>(dscores))
            : BalanceLoss(args, options.balance_weight, sequence_start, arena, static_cast<float*>(dscores));
  }
  pass.Backward(
      [&kernels = pass.kernels, &pool = pass.pool, &arena = arena, args, logits, weights = routing.weights, dscores] {
        kernels.router_backward({.forward = args,
                                 .dweights = weights.Gradient(arena).data(),
                                 .dscores = dscores,
                                 .dlogits = logits.Gradient(arena).data()},
                                pool);
      });
  return routing;
}

Tensor Combine(Pass& pass, const Tensor& x, const Routing& routing, const Tensor& base) {
  const int64_t tokens = routing.weights.size(0), columns = x.size(1);
  CHECK(x.contiguous());
  CHECK(!base.defined() || base.contiguous());
  Tensor y = pass.New(x.dtype(), {tokens, columns});
  const CombineArgs args{.dtype = x.dtype(),
                         .tokens = tokens,
                         .top_k = routing.weights.size(1),
                         .columns = columns,
                         .slot_row = routing.slot_row,
                         .weights = routing.weights.data(),
                         .x = x.data(),
                         .base = base.data(),
                         .y = y.data()};
  pass.kernels.combine(args, pass.pool);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, args, x, weights = routing.weights,
                 base, y] {
    const Tensor dy = y.Gradient(arena);
    kernels.combine_backward(
        {.forward = args, .dy = dy.data(), .dx = x.Gradient(arena).data(), .dweights = weights.Gradient(arena).data()},
        pool);
    if (!base.defined() || !base.has_gradient()) return;
    kernels.add_to({.dtype = dy.dtype(),
                    .rows = dy.size(0),
                    .columns = dy.size(1),
                    .a = dy.data(),
                    .a_stride = dy.stride(0),
                    .y = base.Gradient(arena).data(),
                    .y_stride = dy.stride(0)},
                   pool);
  });
  return y;
}

}  // namespace sputnik
