#include "app/self_test.h"

#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/random.h"
#include "train/step.h"

namespace sputnik {
namespace {

constexpr uint64_t kSeed = 20250120;

// Dense and expert layers, groups, query compression, prediction of two tokens; sizes that are no multiple of a vector.
ModelConfig SmallConfig() {
  ModelConfig config;
  config.vocab_size = 151;
  config.hidden_size = 56;
  config.intermediate_size = 120;
  config.moe_intermediate_size = 28;
  config.num_hidden_layers = 3;
  config.num_nextn_predict_layers = 1;
  config.num_attention_heads = 3;
  config.n_routed_experts = 8;
  config.num_experts_per_tok = 3;
  config.n_group = 4;
  config.topk_group = 2;
  config.q_lora_rank = 36;
  config.kv_lora_rank = 24;
  config.qk_nope_head_dim = 18;
  config.qk_rope_head_dim = 10;
  config.v_head_dim = 20;
  config.max_position_embeddings = 128;
  config.initializer_range = 0.05;
  config.routed_scaling_factor = 1.5;
  config.aux_loss_alpha = 1e-3;
  return config;
}

// Sequences of uneven lengths, in which every third token repeats an earlier one, so that there is something to learn.
Batch MakeBatch(const ModelConfig& config, uint64_t step) {
  Random random(kSeed, kStreamTest, step);
  Batch batch;
  batch.sequence_start.push_back(0);
  for (const size_t length : {41, 7, 64, 19}) {
    const size_t begin = batch.ids.size();
    for (size_t i = 0; i < length; ++i) {
      const auto fresh = static_cast<int32_t>(random.Below(static_cast<uint64_t>(config.vocab_size)));
      batch.ids.push_back(i % 3 == 2 ? batch.ids[begin + i / 2] : fresh);
      batch.positions.push_back(static_cast<int32_t>(i));
    }
    for (size_t i = 0; i < length; ++i) {
      batch.targets.push_back(i + 1 < length ? batch.ids[begin + i + 1] : -1);
      batch.weights.push_back(i + 1 < length ? 1.f : 0.f);
    }
    batch.sequence_start.push_back(static_cast<int32_t>(batch.ids.size()));
  }
  return batch;
}

}  // namespace

std::string SelfTestHash(const Machine& machine) {
  const ModelConfig config = SmallConfig();
  Decoder decoder(config, DType::kF32, true);
  decoder.params().Initialise(config, kSeed);
  Trainer trainer(decoder, machine, OptimizerConfig{}, int64_t{1} << 30);
  for (int step = 0; step < kSelfTestSteps; ++step) {
    const auto number = static_cast<uint64_t>(step);
    const std::vector<Batch> batches = {MakeBatch(config, 2 * number), MakeBatch(config, 2 * number + 1)};
    const double total = TotalWeight(batches);
    const StepResult result =
        trainer.Step(batches,
                     [&](const ObjectiveInput& input, std::span<float> seeds) {
                       return CrossEntropy(input.rows, input.batch.weights, input.logprobs, total, seeds);
                     },
                     {.lr = 0.01, .clip = 1, .recompute = step % 2 == 1, .mtp_weight = 0.3, .bias_update_rate = 1e-3});
    CHECK(!result.skipped);
  }
  Sha256Stream hash;
  for (const Param& param : decoder.params().list()) {
    hash.Update(std::as_bytes(param.tensor.span<float>()));
  }
  return hash.Finish();
}

}  // namespace sputnik
