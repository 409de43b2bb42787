// Small models of the families with grouped-query attention, with every part that each of them may have.
#pragma once

#include <string>

#include "model/family.h"
#include "tests/support/tiny_model.h"

namespace sputnik {

inline ModelConfig TinyFamily(const std::string& model_type) {
  ModelConfig c = RecipeDefaults(model_type);
  c.vocab_size = 37;
  c.hidden_size = 24;
  c.intermediate_size = 40;
  c.num_hidden_layers = 2;
  c.num_attention_heads = 4;
  c.num_key_value_heads = 2;
  c.max_position_embeddings = 128;
  c.initializer_range = 0.15;
  if (model_type == "llama") {
    c.attention_bias = c.mlp_bias = c.tie_word_embeddings = true;
    c.num_key_value_heads = 1;
    c.rope_scaling = {.type = "llama3", .factor = 4, .original_max_position_embeddings = 24};
  } else if (model_type == "qwen3_moe") {
    c.attention_bias = true;
    c.head_dim = 10;
    c.moe_intermediate_size = 12;
    c.n_routed_experts = 6;
    c.mlp_only_layers = {0};
  } else if (model_type == "qwen3") {
    c.head_dim = 10;
    c.rope_scaling = {.factor = 4, .original_max_position_embeddings = 24};
  }
  return c;
}

// Gains away from 1 and biases away from 0, so that nothing cancels by luck.
template <class T>
void RoughenVectors(Params& params, uint64_t seed) {
  Random random(seed, kStreamTest);
  for (Param& param : params.list()) {
    if (param.spec.role == ParamRole::kRouterBias) {
      for (float& b : param.tensor.span<float>()) b = static_cast<float>(0.1 * random.Normal());
    } else if (param.spec.role == ParamRole::kGain || param.spec.role == ParamRole::kBias) {
      for (T& value : param.tensor.span<T>()) value += static_cast<T>(0.2 * random.Normal());
    }
  }
}

}  // namespace sputnik
