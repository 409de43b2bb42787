#include "model/block.h"

#include <algorithm>

#include "model/ffn.h"
#include "model/gqa.h"
#include "model/mla.h"
#include "model/moe.h"
#include "op/norm.h"
#include "op/pointwise.h"

namespace sputnik {
namespace {

// What lies below one prefix.
struct Source {
  const Params& params;
  const Adapter* adapter;
  std::string prefix;

  Source Below(const std::string& name) const { return {params, adapter, prefix + name + "."}; }
  Tensor Get(const std::string& name, bool present = true) const {
    return present ? params.Get(prefix + name) : Tensor();
  }
  std::optional<LowRank> Added(const std::string& name) const {
    return adapter == nullptr ? std::nullopt : adapter->Find(prefix + name);
  }
  // Linear layers that read the same input.
  Projection Linear(const std::vector<std::string>& names) const {
    std::vector<std::string> weights;
    for (const std::string& name : names) weights.push_back(prefix + name + ".weight");
    Projection w(params.Join(weights));
    int64_t first = 0;
    for (const std::string& name : names) {
      if (const auto added = Added(name)) w.additions.push_back({first, *added});
      first += params.Get(prefix + name + ".weight").size(0);
    }
    return w;
  }
};

FfnWeights CollectFfn(const ModelConfig& config, const Source& source) {
  return {.gate_up = source.Linear({"gate_proj", "up_proj"}),
          .down = source.Linear({"down_proj"}),
          .gate_bias = source.Get("gate_proj.bias", config.mlp_bias),
          .up_bias = source.Get("up_proj.bias", config.mlp_bias),
          .down_bias = source.Get("down_proj.bias", config.mlp_bias)};
}

GqaWeights CollectGqa(const ModelConfig& config, const Source& source) {
  return {.q = source.Linear({"q_proj"}),
          .k = source.Linear({"k_proj"}),
          .v = source.Linear({"v_proj"}),
          .o = source.Linear({"o_proj"}),
          .q_bias = source.Get("q_proj.bias", config.HasQkvBias()),
          .k_bias = source.Get("k_proj.bias", config.HasQkvBias()),
          .v_bias = source.Get("v_proj.bias", config.HasQkvBias()),
          .o_bias = source.Get("o_proj.bias", config.attention_bias),
          .q_norm = source.Get("q_norm.weight", config.HasHeadNorms()),
          .k_norm = source.Get("k_norm.weight", config.HasHeadNorms())};
}

MlaWeights CollectMla(const ModelConfig& config, const Source& source) {
  const bool compressed = config.q_lora_rank > 0;
  MlaWeights w;
  w.input_projection = source.Linear({compressed ? "q_a_proj" : "q_proj", "kv_a_proj_with_mqa"});
  w.q_a_norm = source.Get("q_a_layernorm.weight", compressed);
  if (compressed) w.q_b = source.Linear({"q_b_proj"});
  w.kv_a_norm = source.Get("kv_a_layernorm.weight");
  w.kv_b = source.Linear({"kv_b_proj"});
  w.o = source.Linear({"o_proj"});
  return w;
}

// The same layer of all experts. Where one of them lies apart in memory, all are seen as if they did.
ExpertProjection JoinExperts(const std::vector<Projection>& experts, int64_t part_outputs) {
  ExpertProjection joined;
  size_t parts = 1;
  for (const Projection& expert : experts) parts = std::max(parts, expert.parts.size());
  joined.parts.resize(parts);
  for (const Projection& expert : experts) {
    for (size_t part = 0; part < parts; ++part) {
      const bool whole = expert.parts.size() == parts;
      const auto number = static_cast<int64_t>(part);
      joined.parts[part].push_back(whole ? expert.parts[part]
                                         : expert.parts[0].Slice(0, number * part_outputs, part_outputs));
    }
  }
  // An adapter is on all experts or on none.
  for (size_t i = 0; i < experts[0].additions.size(); ++i) {
    auto& addition = joined.additions.emplace_back();
    addition.first = experts[0].additions[i].first;
    for (const Projection& expert : experts) addition.experts.push_back(expert.additions[i].w);
  }
  return joined;
}

MoeWeights CollectMoe(const ModelConfig& config, const Source& source) {
  MoeWeights w;
  w.gate = source.Linear({"gate"});
  w.bias = source.Get("gate.e_score_correction_bias", config.HasRouterBias());
  if (config.n_shared_experts > 0) w.shared = CollectFfn(config, source.Below("shared_experts"));
  std::vector<Projection> gate_up, down;
  for (int64_t expert = 0; expert < config.n_routed_experts; ++expert) {
    FfnWeights ffn = CollectFfn(config, source.Below(fmt::format("experts.{}", expert)));
    gate_up.push_back(std::move(ffn.gate_up));
    down.push_back(std::move(ffn.down));
  }
  w.gate_up = JoinExperts(gate_up, down[0].inputs());
  w.down = JoinExperts(down, down[0].outputs());
  return w;
}

}  // namespace

BlockWeights CollectBlock(const ModelConfig& config, const Params& params, int64_t layer, bool has_moe,
                          const Adapter* adapter) {
  const Source source{params, adapter, fmt::format("model.layers.{}.", layer)};
  BlockWeights w;
  w.layer = layer;
  w.attention_norm = source.Get("input_layernorm.weight");
  w.ffn_norm = source.Get("post_attention_layernorm.weight");
  if (config.HasLatentAttention()) {
    w.mla = CollectMla(config, source.Below("self_attn"));
  } else {
    w.gqa = CollectGqa(config, source.Below("self_attn"));
  }
  w.has_moe = has_moe;
  if (has_moe) {
    w.moe = CollectMoe(config, source.Below("mlp"));
  } else {
    w.ffn = CollectFfn(config, source.Below("mlp"));
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
