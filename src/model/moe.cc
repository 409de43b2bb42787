#include "model/moe.h"

#include "model/ffn.h"
#include "op/linear.h"
#include "op/pointwise.h"

namespace sputnik {
namespace {

RouterOptions OptionsFor(const ModelConfig& config, double balance_weight) {
  return {.score = config.scoring_func == "softmax" ? RouterScore::kSoftmax : RouterScore::kSigmoid,
          .method = config.topk_method == "noaux_tc" ? RouterMethod::kNoAuxTc
                    : config.topk_method == "greedy" ? RouterMethod::kGreedy
                                                     : RouterMethod::kGroupLimitedGreedy,
          .top_k = config.num_experts_per_tok,
          .groups = config.n_group,
          .top_groups = config.topk_group,
          .normalise = config.norm_topk_prob,
          .scaling = config.routed_scaling_factor,
          .balance_weight = balance_weight};
}

}  // namespace

Tensor Moe(Pass& pass, const ModelConfig& config, const MoeWeights& w, const ForwardContext& context, int64_t layer,
           const Tensor& x) {
  const Tensor logits = Linear(pass, x, w.gate);
  const Routing routing =
      Route(pass, logits, w.bias, OptionsFor(config, context.balance_weight), context.sequence_start);
  if (!pass.recomputing()) {
    if (context.balance_loss != nullptr) *context.balance_loss += routing.balance_loss;
    if (context.loads != nullptr) {
      std::vector<int64_t>& loads = (*context.loads)[static_cast<size_t>(layer)];
      loads.resize(static_cast<size_t>(config.n_routed_experts));
      for (size_t e = 0; e < loads.size(); ++e) loads[e] += routing.expert_start[e + 1] - routing.expert_start[e];
    }
  }
  const Tensor base = w.shared.down.defined() ? Ffn(pass, w.shared, x) : Tensor();
  const Tensor rows = Gather(pass, x, routing.row_token, x.size(0) * config.num_experts_per_tok);
  const Tensor hidden = Swiglu(pass, GroupedLinear(pass, rows, routing.expert_start, w.gate_up));
  return Combine(pass, GroupedLinear(pass, hidden, routing.expert_start, w.down), routing, base);
}

void NudgeRouterBias(std::span<float> bias, std::span<const int64_t> loads, double rate, bool sum_preserving) {
  CHECK_EQ(bias.size(), loads.size());
  const auto experts = static_cast<int64_t>(loads.size());
  int64_t total = 0;
  for (const int64_t load : loads) total += load;
  // sign(mean - load), in whole numbers so that no rounding decides it
  const auto sign = [&](size_t i) { return (total > loads[i] * experts) - (total < loads[i] * experts); };
  int64_t sum = 0;
  for (size_t i = 0; i < loads.size(); ++i) sum += sign(i);
  for (size_t i = 0; i < loads.size(); ++i) {
    const double step =
        sum_preserving ? sign(i) - static_cast<double>(sum) / static_cast<double>(experts) : (sign(i) < 0 ? -1.0 : 1.0);
    bias[i] = static_cast<float>(static_cast<double>(bias[i]) + rate * step);
  }
}

}  // namespace sputnik
