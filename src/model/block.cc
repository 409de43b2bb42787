#include "model/block.h"

#include "model/ffn.h"
#include "model/gqa.h"
#include "model/mla.h"
#include "model/moe.h"
#include "op/norm.h"
#include "op/pointwise.h"

namespace sputnik {
namespace {

FfnWeights CollectFfn(const ModelConfig& config, const Params& params, const std::string& prefix) {
  FfnWeights w;
  w.gate_up = params.Join(prefix + "gate_proj.weight", prefix + "up_proj.weight");
  w.down = params.Get(prefix + "down_proj.weight");
  if (config.mlp_bias) {
    w.gate_bias = params.Get(prefix + "gate_proj.bias");
    w.up_bias = params.Get(prefix + "up_proj.bias");
    w.down_bias = params.Get(prefix + "down_proj.bias");
  }
  return w;
}

GqaWeights CollectGqa(const ModelConfig& config, const Params& params, const std::string& prefix) {
  const auto get = [&](const char* name, bool present) { return present ? params.Get(prefix + name) : Tensor(); };
  return {.q = get("q_proj.weight", true),
          .k = get("k_proj.weight", true),
          .v = get("v_proj.weight", true),
          .o = get("o_proj.weight", true),
          .q_bias = get("q_proj.bias", config.HasQkvBias()),
          .k_bias = get("k_proj.bias", config.HasQkvBias()),
          .v_bias = get("v_proj.bias", config.HasQkvBias()),
          .o_bias = get("o_proj.bias", config.attention_bias),
          .q_norm = get("q_norm.weight", config.HasHeadNorms()),
          .k_norm = get("k_norm.weight", config.HasHeadNorms())};
}

MlaWeights CollectMla(const ModelConfig& config, const Params& params, const std::string& prefix) {
  MlaWeights w;
  const bool compressed = config.q_lora_rank > 0;
  w.input_projection =
      params.Join(prefix + (compressed ? "q_a_proj.weight" : "q_proj.weight"), prefix + "kv_a_proj_with_mqa.weight");
  if (compressed) {
    w.q_a_norm = params.Get(prefix + "q_a_layernorm.weight");
    w.q_b = params.Get(prefix + "q_b_proj.weight");
  }
  w.kv_a_norm = params.Get(prefix + "kv_a_layernorm.weight");
  w.kv_b = params.Get(prefix + "kv_b_proj.weight");
  w.o = params.Get(prefix + "o_proj.weight");
  return w;
}

MoeWeights CollectMoe(const ModelConfig& config, const Params& params, const std::string& prefix) {
  MoeWeights w;
  w.gate = params.Get(prefix + "gate.weight");
  if (config.HasRouterBias()) w.bias = params.Get(prefix + "gate.e_score_correction_bias");
  if (config.n_shared_experts > 0) w.shared = CollectFfn(config, params, prefix + "shared_experts.");
  for (int64_t expert = 0; expert < config.n_routed_experts; ++expert) {
    const FfnWeights ffn = CollectFfn(config, params, fmt::format("{}experts.{}.", prefix, expert));
    w.gate_up.push_back(ffn.gate_up);
    w.down.push_back(ffn.down);
  }
  return w;
}

}  // namespace

BlockWeights CollectBlock(const ModelConfig& config, const Params& params, int64_t layer, bool has_moe) {
  const std::string prefix = fmt::format("model.layers.{}.", layer);
  BlockWeights w;
  w.layer = layer;
  w.attention_norm = params.Get(prefix + "input_layernorm.weight");
  w.ffn_norm = params.Get(prefix + "post_attention_layernorm.weight");
  if (config.HasLatentAttention()) {
    w.mla = CollectMla(config, params, prefix + "self_attn.");
  } else {
    w.gqa = CollectGqa(config, params, prefix + "self_attn.");
  }
  w.has_moe = has_moe;
  if (has_moe) {
    w.moe = CollectMoe(config, params, prefix + "mlp.");
  } else {
    w.ffn = CollectFfn(config, params, prefix + "mlp.");
  }
  return w;
}

Tensor Block(Pass& pass, const ModelConfig& config, const BlockWeights& w, const ForwardContext& context,
             const Tensor& x) {
  const Tensor input = RmsNorm(pass, x, w.attention_norm, config.rms_norm_eps);
  const Tensor attended = config.HasLatentAttention() ? Mla(pass, config, w.mla, context, w.layer, input)
                                                      : Gqa(pass, config, w.gqa, context, w.layer, input);
  const Tensor h = Add(pass, x, attended);
  const Tensor normed = RmsNorm(pass, h, w.ffn_norm, config.rms_norm_eps);
  return Add(pass, h, w.has_moe ? Moe(pass, config, w.moe, context, w.layer, normed) : Ffn(pass, w.ffn, normed));
}

}  // namespace sputnik
