// Small models and batches for tests: every part of the architecture, sizes that divide nothing evenly.
#pragma once

#include <numeric>
#include <vector>

#include "base/random.h"
#include "model/decoder.h"

namespace sputnik {

// Two layers (one dense, one with experts) and one MTP module.
inline ModelConfig TinyConfig() {
  ModelConfig c;
  c.vocab_size = 37;
  c.hidden_size = 24;
  c.intermediate_size = 40;
  c.moe_intermediate_size = 12;
  c.num_hidden_layers = 2;
  c.num_nextn_predict_layers = 1;
  c.num_attention_heads = 3;
  c.n_routed_experts = 8;
  c.num_experts_per_tok = 3;
  c.n_group = 4;
  c.topk_group = 2;
  c.q_lora_rank = 20;
  c.kv_lora_rank = 16;
  c.qk_nope_head_dim = 10;
  c.qk_rope_head_dim = 6;
  c.v_head_dim = 9;
  c.max_position_embeddings = 128;
  c.initializer_range = 0.15;
  c.routed_scaling_factor = 1.7;
  return c;
}

// Sequences of the given lengths with random ids, next-token targets and varied weights.
inline Batch RandomBatch(const ModelConfig& config, const std::vector<int>& lengths, uint64_t seed) {
  Random random(seed, kStreamTest);
  Batch batch;
  batch.sequence_start.push_back(0);
  for (const int length : lengths) {
    for (int i = 0; i < length; ++i) {
      batch.ids.push_back(static_cast<int32_t>(random.Below(static_cast<uint64_t>(config.vocab_size))));
      batch.positions.push_back(i);
    }
    for (int i = 0; i < length; ++i) {
      const size_t at = batch.ids.size() - static_cast<size_t>(length - i);
      batch.targets.push_back(i + 1 < length ? batch.ids[at + 1] : -1);
      batch.weights.push_back(i + 1 < length ? 0.5f + static_cast<float>(random.Uniform()) : 0.f);
    }
    batch.sequence_start.push_back(static_cast<int32_t>(batch.ids.size()));
  }
  return batch;
}

}  // namespace sputnik
