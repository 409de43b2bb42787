#include "train/step.h"

#include <cmath>

#include "model/moe.h"

namespace sputnik {

Trainer::Trainer(Decoder& decoder, const Machine& machine, const OptimizerConfig& config, int64_t arena_limit)
    : decoder_(decoder), machine_(machine), optimizer_(decoder.trained(), config), arena_(arena_limit) {}

void Trainer::ForwardBackward(const Batch& batch, int64_t index, const Objective& objective, const StepOptions& options,
                              double total_weight, double total_tokens, StepResult& result) {
  const ArenaScope scope(arena_);
  Tape tape(arena_);
  Pass pass(machine_, arena_, &tape);
  const bool mtp = options.mtp_weight > 0;
  ForwardOptions forward{.recompute = options.recompute, .mtp = mtp, .loads = &result.loads};
  forward.balance_weight = decoder_.config().aux_loss_alpha / total_tokens;
  const ForwardResult out = decoder_.Forward(pass, batch, forward);
  result.balance_loss += out.balance_loss;

  std::vector<int32_t> rows;
  const LogProbs probs = decoder_.TargetLogProbs(pass, out.hidden, batch.targets, &rows, options.inverse_temperature,
                                                 options.with_entropy);
  if (rows.empty()) return;
  const ObjectiveInput input{
      batch, index, rows, probs.logprob.span<float>(),
      options.with_entropy ? std::span<const float>(probs.entropy.span<float>()) : std::span<const float>()};
  result.loss += objective(input, probs.logprob.Gradient(arena_).span<float>());
  result.targets += static_cast<int64_t>(rows.size());
  for (const float entropy : input.entropies) result.entropy += static_cast<double>(entropy);

  for (size_t depth = 0; depth < out.mtp_hidden.size(); ++depth) {
    const ShiftedTargets shifted = ShiftTargets(batch, static_cast<int64_t>(depth) + 1);
    const LogProbs ahead = decoder_.TargetLogProbs(pass, out.mtp_hidden[depth], shifted.targets, &rows);
    if (rows.empty()) continue;
    const double weight = options.mtp_weight / static_cast<double>(out.mtp_hidden.size());
    result.mtp_loss += CrossEntropy(rows, shifted.weights, ahead.logprob.span<float>(), total_weight / weight,
                                    ahead.logprob.Gradient(arena_).span<float>()) /
                       options.mtp_weight;
  }
  tape.Backward();
}

StepResult Trainer::Step(std::span<const Batch> micro_batches, const Objective& objective, const StepOptions& options) {
  StepResult result;
  decoder_.trained().ClearGradients();
  const double total_weight = TotalWeight(micro_batches);
  for (const Batch& batch : micro_batches) result.tokens += batch.tokens();
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    ForwardBackward(micro_batches[i], static_cast<int64_t>(i), objective, options, total_weight,
                    static_cast<double>(result.tokens), result);
  }
  if (result.targets > 0) result.entropy /= static_cast<double>(result.targets);
  std::string culprit;
  result.gradient_norm = optimizer_.GradientNorm(machine_, &culprit);
  if (!std::isfinite(result.loss) || !std::isfinite(result.mtp_loss)) {
    result.skip_reason = "the loss is not finite";
  } else if (!std::isfinite(result.gradient_norm)) {
    result.skip_reason = "the gradient of " + (culprit.empty() ? "the model" : culprit) + " is not finite";
  } else if (options.spike_limit > 0 && result.gradient_norm > options.spike_limit) {
    result.skip_reason = fmt::format("the gradient norm {:.3g} passes the spike limit {:.3g}", result.gradient_norm,
                                     options.spike_limit);
  }
  result.skipped = !result.skip_reason.empty();
  if (result.skipped) return result;
  const bool clipped = options.clip > 0 && result.gradient_norm > options.clip;
  optimizer_.Step(machine_, options.lr, clipped ? options.clip / result.gradient_norm : 1.0);
  if (options.bias_update_rate > 0 && decoder_.adapter() == nullptr) {  // beside an adapter all else is frozen
    for (auto& [layer, bias] : decoder_.RouterBiases()) {
      const std::vector<int64_t>& loads = result.loads[static_cast<size_t>(layer)];
      if (!loads.empty()) {
        NudgeRouterBias(bias.span<float>(), loads, options.bias_update_rate, options.bias_sum_preserving);
      }
    }
  }
  return result;
}

}  // namespace sputnik
