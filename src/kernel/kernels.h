// One page that lists every kernel: a machine is a table of these functions. `reference` defines them in plain loops
// (in float32, following docs/numerics.md, and in float64, the truth); `cpu` must equal the float32 reference bit for
// bit. Kernels may use the pool; they split outputs among tasks and never a reduction.
#pragma once

#include "base/thread_pool.h"
#include "kernel/args.h"

namespace sputnik {

struct Kernels {
  const char* name = "";

  // linear
  void (*linear)(const LinearArgs&, ThreadPool&) = nullptr;
  void (*linear_backward_input)(const LinearArgs&, ThreadPool&) = nullptr;
  void (*linear_backward_weight)(const LinearArgs&, ThreadPool&) = nullptr;
  void (*grouped_linear)(const GroupedLinearArgs&, ThreadPool&) = nullptr;
  void (*grouped_linear_backward_input)(const GroupedLinearArgs&, ThreadPool&) = nullptr;
  void (*grouped_linear_backward_weight)(const GroupedLinearArgs&, ThreadPool&) = nullptr;
  // norm
  void (*rms_norm)(const RmsNormArgs&, ThreadPool&) = nullptr;
  void (*rms_norm_backward)(const RmsNormBackwardArgs&, ThreadPool&) = nullptr;
  // rope
  void (*rope)(const RopeArgs&, ThreadPool&) = nullptr;
  // pointwise
  void (*add)(const AddArgs&, ThreadPool&) = nullptr;
  void (*add_to)(const AddArgs&, ThreadPool&) = nullptr;
  void (*copy)(const AddArgs&, ThreadPool&) = nullptr;
  void (*swiglu)(const SwigluArgs&, ThreadPool&) = nullptr;
  void (*swiglu_backward)(const SwigluBackwardArgs&, ThreadPool&) = nullptr;
  void (*gather)(const GatherArgs&, ThreadPool&) = nullptr;
  void (*scatter_add)(const GatherArgs&, ThreadPool&) = nullptr;
  void (*scatter)(const GatherArgs&, ThreadPool&) = nullptr;
  // attention
  void (*attention)(const AttentionArgs&, ThreadPool&) = nullptr;
  void (*attention_backward)(const AttentionBackwardArgs&, ThreadPool&) = nullptr;
  // moe
  void (*router)(const RouterArgs&, ThreadPool&) = nullptr;
  void (*router_backward)(const RouterBackwardArgs&, ThreadPool&) = nullptr;
  void (*dispatch)(const DispatchArgs&, ThreadPool&) = nullptr;
  void (*combine)(const CombineArgs&, ThreadPool&) = nullptr;
  void (*combine_backward)(const CombineBackwardArgs&, ThreadPool&) = nullptr;
  // logprob
  void (*log_softmax)(const LogSoftmaxArgs&, ThreadPool&) = nullptr;
  void (*log_softmax_backward)(const LogSoftmaxBackwardArgs&, ThreadPool&) = nullptr;
  // update
  void (*adamw)(const AdamWArgs&, ThreadPool&) = nullptr;
  void (*muon)(const MuonArgs&, ThreadPool&) = nullptr;
  void (*sum_of_squares)(SumOfSquaresArgs&, ThreadPool&) = nullptr;
};

}  // namespace sputnik
