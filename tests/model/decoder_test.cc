#include "model/decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernel/backend.h"
#include "tests/support/tiny_families.h"

namespace sputnik {
namespace {

// The training loss of one batch: cross-entropy, MTP and balance loss; with a tape, its gradients.
double Loss(const Decoder& decoder, const Machine& machine, Arena& arena, const Batch& batch, bool backward,
            bool recompute = false) {
  const ArenaScope scope(arena);
  Tape tape(arena);
  Pass pass(machine, arena, backward ? &tape : nullptr);
  ForwardOptions options{.recompute = recompute, .mtp = true, .balance_weight = 0.05};
  const ForwardResult out = decoder.Forward(pass, batch, options);
  double loss = out.balance_loss;
  const auto add = [&](const Tensor& hidden, const std::vector<int32_t>& targets, const std::vector<float>& weights,
                       double factor) {
    std::vector<int32_t> rows;
    const LogProbs probs = decoder.TargetLogProbs(pass, hidden, targets, &rows, 0.8);
    for (size_t i = 0; i < rows.size(); ++i) {
      const double w = factor * static_cast<double>(weights[static_cast<size_t>(rows[i])]);
      loss -= w * probs.logprob.as<double>()[i];
      if (backward) probs.logprob.Gradient(arena).as<double>()[i] = -w;
    }
  };
  add(out.hidden, batch.targets, batch.weights, 1);
  const ShiftedTargets shifted = ShiftTargets(batch, 1);
  if (!out.mtp_hidden.empty()) add(out.mtp_hidden[0], shifted.targets, shifted.weights, 0.3);
  if (backward) tape.Backward();
  return loss;
}

class GradientTest : public testing::TestWithParam<int> {
 protected:
  static ModelConfig ConfigOf(int variant) {
    ModelConfig c = TinyConfig();
    switch (variant) {
      case 0: break;
      case 1:  // V2: softmax, group-limited greedy, raw weights, no query compression
        c.q_lora_rank = 0;
        c.scoring_func = "softmax";
        c.topk_method = "group_limited_greedy";
        c.norm_topk_prob = false;
        c.rope_interleave = false;
        break;
      case 2:  // V2-Lite's greedy router, YaRN, tied embedding, no shared experts
        c.topk_method = "greedy";
        c.scoring_func = "softmax";
        c.n_group = c.topk_group = 1;
        c.rope_scaling = {
            .factor = 4, .mscale = 0.707, .mscale_all_dim = 0.707, .original_max_position_embeddings = 32};
        c.tie_word_embeddings = true;
        c.n_shared_experts = 0;
        break;
      case 3: c.position_mode = "none"; break;
      case 4: return TinyFamily("qwen3_moe");
      case 5: return TinyFamily("llama");
      case 6: return TinyFamily("qwen2");
      default: break;
    }
    return c;
  }
};

// Central differences in double over every parameter: a few entries of each, chosen at random.
TEST_P(GradientTest, EveryParameterMatchesDifferences) {
  const ModelConfig config = ConfigOf(GetParam());
  Decoder decoder(config, DType::kF64, true);
  decoder.params().Initialise(config, 7);
  RoughenVectors<double>(decoder.params(), 3);
  Random random(4, kStreamTest);
  ThreadPool pool(2);
  const Machine machine{KernelsFor("reference"), pool};
  Arena arena;
  const Batch batch = RandomBatch(config, {7, 1, 12}, 11);
  decoder.params().ClearGradients();
  Loss(decoder, machine, arena, batch, true);
  for (Param& param : decoder.params().list()) {
    if (param.spec.role == ParamRole::kRouterBias) continue;
    const Tensor gradient = decoder.params().Gradient(param);
    double difference = 0, size = 0;
    for (int probe = 0; probe < 6; ++probe) {
      const auto i = static_cast<int64_t>(random.Below(static_cast<uint64_t>(param.spec.elements())));
      double& weight = param.tensor.as<double>()[i];
      const double old = weight, step = 1e-5;
      weight = old + step;
      const double above = Loss(decoder, machine, arena, batch, false);
      weight = old - step;
      const double below = Loss(decoder, machine, arena, batch, false);
      weight = old;
      const double expected = (above - below) / (2 * step), actual = gradient.as<double>()[i];
      difference = std::max(difference, std::abs(actual - expected));
      size = std::max({size, std::abs(actual), std::abs(expected)});
    }
    EXPECT_LE(difference, 1e-6 * size + 2e-9) << param.spec.name << " of size " << size;
  }
}

TEST_P(GradientTest, RecomputingBlocksChangesNothing) {
  const ModelConfig config = ConfigOf(GetParam());
  Decoder decoder(config, DType::kF64, true);
  decoder.params().Initialise(config, 7);
  ThreadPool pool(1);
  const Machine machine{KernelsFor("reference"), pool};
  Arena arena;
  const Batch batch = RandomBatch(config, {5, 9}, 12);
  std::vector<double> gradients[2];
  for (const bool recompute : {false, true}) {
    decoder.params().ClearGradients();
    Loss(decoder, machine, arena, batch, true, recompute);
    for (const Param& param : decoder.params().list()) {
      if (param.spec.role == ParamRole::kRouterBias) continue;
      const Tensor gradient = decoder.params().Gradient(param);
      gradients[recompute].insert(gradients[recompute].end(), gradient.as<double>(),
                                  gradient.as<double>() + gradient.elements());
    }
  }
  EXPECT_EQ(gradients[0], gradients[1]);
}

INSTANTIATE_TEST_SUITE_P(Variants, GradientTest, testing::Range(0, 7));

}  // namespace
}  // namespace sputnik
