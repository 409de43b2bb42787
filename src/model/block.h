// One transformer block: x += attention(norm(x)); x += feed-forward(norm(x)).
#pragma once

#include <vector>

#include "model/adapter.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/param.h"
#include "model/projection.h"
#include "op/attention.h"
#include "op/moe.h"
#include "op/pass.h"

namespace sputnik {

// What all blocks share about the batch of one forward; arrays lie in the arena.
struct ForwardContext {
  const int32_t* positions = nullptr;  // [N]; null: no rotation
  Tensor rotary;                       // table of rotations
  AttentionLayout layout;
  std::span<const int32_t> sequence_start;  // [S+1]
  KvCache* cache = nullptr;
  const int32_t* cache_rows = nullptr;                 // [N] cache row that each token writes
  double balance_weight = 0;                           // aux_loss_alpha / tokens in the step
  std::vector<std::vector<int64_t>>* loads = nullptr;  // per layer and expert, how many tokens chose it; added to
  double* balance_loss = nullptr;                      // added to
};

struct MlaWeights {
  Projection input_projection;  // [q_proj or q_a_proj | kv_a_proj_with_mqa]
  Tensor q_a_norm;              // with query compression only, as q_b
  Projection q_b;
  Tensor kv_a_norm;
  Projection kv_b, o;
};

struct GqaWeights {
  Projection q, k, v, o;
  Tensor q_bias, k_bias, v_bias, o_bias;  // undefined: none
  Tensor q_norm, k_norm;                  // of each head; undefined: none
};

struct FfnWeights {
  Projection gate_up;                                   // [2·width, d]
  Projection down;                                      // [d, width]
  Tensor gate_bias = {}, up_bias = {}, down_bias = {};  // undefined: none
};

struct MoeWeights {
  Projection gate;
  Tensor bias;        // float32, or undefined
  FfnWeights shared;  // undefined: no shared experts
  ExpertProjection gate_up, down;
};

struct BlockWeights {
  int64_t layer = 0;
  Tensor attention_norm, ffn_norm;
  MlaWeights mla;  // latent attention, or
  GqaWeights gqa;  // grouped-query attention
  bool has_moe = false;
  FfnWeights ffn;
  MoeWeights moe;
};

// With the additions of an adapter, if there is one.
BlockWeights CollectBlock(const ModelConfig& config, const Params& params, int64_t layer, bool has_moe,
                          const Adapter* adapter = nullptr);

Tensor Block(Pass& pass, const ModelConfig& config, const BlockWeights& weights, const ForwardContext& context,
             const Tensor& x);

}  // namespace sputnik
