#include "kernel/cpu/table.h"

#include "kernel/reference/attention.h"
#include "kernel/reference/linear.h"
#include "kernel/reference/logprob.h"
#include "kernel/reference/moe.h"
#include "kernel/reference/norm.h"
#include "kernel/reference/pointwise.h"
#include "kernel/reference/rope.h"
#include "kernel/reference/update.h"

namespace sputnik {

const Kernels& CpuKernels() {
  static constexpr Kernels kKernels = {
      .name = "cpu",
      .linear = reference::Linear,
      .linear_backward_input = reference::LinearBackwardInput,
      .linear_backward_weight = reference::LinearBackwardWeight,
      .grouped_linear = reference::GroupedLinear,
      .grouped_linear_backward_input = reference::GroupedLinearBackwardInput,
      .grouped_linear_backward_weight = reference::GroupedLinearBackwardWeight,
      .rms_norm = reference::RmsNorm,
      .rms_norm_backward = reference::RmsNormBackward,
      .rope = reference::Rope,
      .add = reference::Add,
      .add_to = reference::AddTo,
      .copy = reference::Copy,
      .swiglu = reference::Swiglu,
      .swiglu_backward = reference::SwigluBackward,
      .gather = reference::Gather,
      .scatter_add = reference::ScatterAdd,
      .scatter = reference::Scatter,
      .attention = reference::Attention,
      .attention_backward = reference::AttentionBackward,
      .router = reference::Router,
      .router_backward = reference::RouterBackward,
      .dispatch = reference::Dispatch,
      .combine = reference::Combine,
      .combine_backward = reference::CombineBackward,
      .log_softmax = reference::LogSoftmax,
      .log_softmax_backward = reference::LogSoftmaxBackward,
      .adamw = reference::AdamW,
      .muon = reference::Muon,
      .sum_of_squares = reference::SumOfSquares,
  };
  return kKernels;
}

}  // namespace sputnik
