#include "kernel/cpu/table.h"

#include "kernel/cpu/attention.h"
#include "kernel/cpu/linear.h"
#include "kernel/cpu/logprob.h"
#include "kernel/cpu/moe.h"
#include "kernel/cpu/norm.h"
#include "kernel/cpu/pointwise.h"
#include "kernel/cpu/rope.h"
#include "kernel/cpu/update.h"

namespace sputnik {

const Kernels& CpuKernels() {
  static constexpr Kernels kKernels = {
      .name = "cpu",
      .linear = cpu::Linear,
      .linear_backward_input = cpu::LinearBackwardInput,
      .linear_backward_weight = cpu::LinearBackwardWeight,
      .grouped_linear = cpu::GroupedLinear,
      .grouped_linear_backward_input = cpu::GroupedLinearBackwardInput,
      .grouped_linear_backward_weight = cpu::GroupedLinearBackwardWeight,
      .rms_norm = cpu::RmsNorm,
      .rms_norm_backward = cpu::RmsNormBackward,
      .rope = cpu::Rope,
      .add = cpu::Add,
      .add_to = cpu::AddTo,
      .copy = cpu::Copy,
      .swiglu = cpu::Swiglu,
      .swiglu_backward = cpu::SwigluBackward,
      .gather = cpu::Gather,
      .scatter_add = cpu::ScatterAdd,
      .scatter = cpu::Scatter,
      .attention = cpu::Attention,
      .attention_backward = cpu::AttentionBackward,
      .router = cpu::Router,
      .router_backward = cpu::RouterBackward,
      .dispatch = cpu::Dispatch,
      .combine = cpu::Combine,
      .combine_backward = cpu::CombineBackward,
      .log_softmax = cpu::LogSoftmax,
      .log_softmax_backward = cpu::LogSoftmaxBackward,
      .adamw = cpu::AdamW,
      .muon = cpu::Muon,
      .sum_of_squares = cpu::SumOfSquares,
  };
  return kKernels;
}

}  // namespace sputnik
