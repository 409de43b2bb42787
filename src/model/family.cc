#include "model/family.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace sputnik {
namespace {

enum FamilySet : unsigned {
  kV2 = 1,
  kV3 = 2,
  kQwen2 = 4,
  kQwen3 = 8,
  kQwen3Moe = 16,
  kLlama = 32,
  kLatent = kV2 | kV3,
  kGrouped = kQwen2 | kQwen3 | kQwen3Moe | kLlama,
  kExperts = kLatent | kQwen3Moe,
};

struct Family {
  std::string_view model_type, architecture;
  unsigned bit;
};
constexpr Family kFamilies[] = {
    {"deepseek_v3", "DeepseekV3ForCausalLM", kV3},   {"deepseek_v2", "DeepseekV2ForCausalLM", kV2},
    {"qwen2", "Qwen2ForCausalLM", kQwen2},           {"qwen3", "Qwen3ForCausalLM", kQwen3},
    {"qwen3_moe", "Qwen3MoeForCausalLM", kQwen3Moe}, {"llama", "LlamaForCausalLM", kLlama},
};

// Fields that not every family has a key for.
struct Rule {
  std::string_view field;
  unsigned families;
};
constexpr Rule kRules[] = {
    {"q_lora_rank", kLatent},
    {"kv_lora_rank", kLatent},
    {"qk_nope_head_dim", kLatent},
    {"qk_rope_head_dim", kLatent},
    {"v_head_dim", kLatent},
    {"rope_interleave", kV3},
    {"num_key_value_heads", kGrouped},
    {"head_dim", kGrouped},
    {"attention_bias", kQwen3 | kQwen3Moe | kLlama},
    {"mlp_bias", kLlama},
    {"num_nextn_predict_layers", kLatent},
    {"n_shared_experts", kLatent},
    {"n_routed_experts", kExperts},
    {"num_experts_per_tok", kExperts},
    {"moe_intermediate_size", kExperts},
    {"norm_topk_prob", kExperts},
    {"moe_layer_freq", kExperts},
    {"aux_loss_alpha", kExperts},
    {"first_k_dense_replace", kLatent},
    {"n_group", kLatent},
    {"topk_group", kLatent},
    {"topk_method", kLatent},
    {"scoring_func", kLatent},
    {"routed_scaling_factor", kLatent},
    {"mlp_only_layers", kQwen3Moe},
};

const Family& FamilyOf(const std::string& model_type) {
  const auto* const found = std::find_if(std::begin(kFamilies), std::end(kFamilies),
                                         [&](const Family& family) { return family.model_type == model_type; });
  if (found == std::end(kFamilies)) {
    ThrowUsage("`model_type` {} is not supported; {} are", model_type, fmt::join(ModelTypes(), ", "));
  }
  return *found;
}

// ModelConfig's defaults, with what the family always has in place of DeepSeek-V3's experts.
ModelConfig Base(const std::string& model_type) {
  const unsigned family = FamilyOf(model_type).bit;
  ModelConfig c;
  c.model_type = model_type;
  if ((family & kGrouped) == 0) return c;
  c.n_shared_experts = c.first_k_dense_replace = 0;
  if (family != kQwen3Moe) c.n_routed_experts = 0;
  c.topk_method = "greedy";
  c.scoring_func = "softmax";
  return c;
}

void SetV3Defaults(ModelConfig& c) {
  c.vocab_size = 129280;
  c.hidden_size = 7168;
  c.intermediate_size = 18432;
  c.moe_intermediate_size = 2048;
  c.num_hidden_layers = 61;
  c.num_nextn_predict_layers = 1;
  c.num_attention_heads = 128;
  c.n_routed_experts = 256;
  c.num_experts_per_tok = 8;
  c.n_group = 8;
  c.topk_group = 4;
  c.first_k_dense_replace = 3;
  c.routed_scaling_factor = 2.5;
  c.q_lora_rank = 1536;
  c.kv_lora_rank = 512;
  c.qk_nope_head_dim = 128;
  c.qk_rope_head_dim = 64;
  c.v_head_dim = 128;
}

void SetV2Defaults(ModelConfig& c) {
  SetV3Defaults(c);
  c.vocab_size = 102400;
  c.hidden_size = 4096;
  c.intermediate_size = 11008;
  c.moe_intermediate_size = 1407;
  c.num_hidden_layers = c.num_attention_heads = 32;
  c.num_nextn_predict_layers = c.first_k_dense_replace = 0;
  c.n_shared_experts = 2;
  c.n_routed_experts = 64;
  c.num_experts_per_tok = 6;
  c.n_group = c.topk_group = 1;
  c.routed_scaling_factor = 1;
  c.max_position_embeddings = 2048;
  c.topk_method = "greedy";
  c.scoring_func = "softmax";
  c.norm_topk_prob = false;
}

void SetQwenDefaults(ModelConfig& c, unsigned family) {
  c.vocab_size = 151936;
  c.max_position_embeddings = 32768;
  c.num_attention_heads = 32;
  if (family == kQwen3Moe) {
    c.hidden_size = 2048;
    c.intermediate_size = 6144;
    c.moe_intermediate_size = 768;
    c.num_hidden_layers = 24;
    c.num_key_value_heads = 4;
    c.n_routed_experts = 128;
    c.num_experts_per_tok = 8;
    c.norm_topk_prob = false;
    return;
  }
  c.hidden_size = 4096;
  c.intermediate_size = 22016;
  c.num_hidden_layers = c.num_key_value_heads = 32;
  if (family == kQwen3) c.head_dim = 128;
}

void SetLlamaDefaults(ModelConfig& c) {
  c.vocab_size = 32000;
  c.hidden_size = 4096;
  c.intermediate_size = 11008;
  c.num_hidden_layers = c.num_attention_heads = 32;
  c.max_position_embeddings = 2048;
  c.bos_token_id = 1;
  c.eos_token_id = 2;
}

bool IsSet(const Json& json, const char* key) { return json.contains(key) && !json[key].is_null(); }

void Require(const Json& json, const char* key, const Json& only, std::string_view where) {
  if (IsSet(json, key) && json[key] != only) {
    ThrowUsage("{}: `{}` is {}, and only {} is supported", where, key, json[key].dump(), only.dump());
  }
}

// Weights in FP8 with a scale for each block of 128 × 128 are decoded exactly; any other scheme is not known here.
void RefuseQuantization(const Json& json, std::string_view where) {
  if (!IsSet(json, "quantization_config")) return;
  const Json& scheme = json["quantization_config"];
  if (!scheme.is_object() || !scheme.contains("quant_method") || scheme["quant_method"] != "fp8") {
    ThrowUsage("{}: quantised weights (`quantization_config`) are supported as \"fp8\" in blocks only", where);
  }
  if (!scheme.contains("weight_block_size") || scheme["weight_block_size"] != Json({128, 128})) {
    ThrowUsage("{}: `quantization_config.weight_block_size` must be [128, 128]", where);
  }
  Require(scheme, "fmt", "e4m3", fmt::format("{}: `quantization_config`", where));
}

// Keys of windows of attention may stand in a file as long as they are off.
void RefuseWindows(const Json& json, const ModelConfig& config, unsigned family, std::string_view where) {
  if (IsSet(json, "layer_types")) {
    const Json& types = json["layer_types"];
    const bool full = types.is_array() &&
                      std::all_of(types.begin(), types.end(), [](const Json& t) { return t == "full_attention"; });
    if (!full) ThrowUsage("{}: `layer_types` has layers that are not \"full_attention\"", where);
    if (family != kQwen3Moe) return;  // they decide, whatever the other keys say
  }
  if (family == kLlama) return Require(json, "sliding_window", nullptr, where);
  if (!IsSet(json, "use_sliding_window") || json["use_sliding_window"] == false) return;
  if (json.contains("sliding_window") && json["sliding_window"].is_null()) return;
  if (family != kQwen3Moe) {
    const bool whole = IsSet(json, "max_window_layers") && json["max_window_layers"].is_number_integer();
    if ((whole ? json["max_window_layers"].get<int64_t>() : 28) >= config.num_hidden_layers) return;
  }
  ThrowUsage("{}: `use_sliding_window` is {}, but windows of attention are not supported", where,
             json["use_sliding_window"].dump());
}

void RefuseOfLatent(const Json& json, const ModelConfig& config, std::string_view where) {
  Require(json, "attention_bias", false, where);
  Require(json, "mlp_bias", false, where);
  if (config.is_v2()) {
    Require(json, "rope_interleave", true, where);
    if (config.norm_topk_prob && config.routed_scaling_factor != 1) {
      // Published code scales such weights, or ignores the key, depending on its age.
      ThrowUsage("{}: `norm_topk_prob` with a `routed_scaling_factor` other than 1 is not supported in deepseek_v2",
                 where);
    }
  }
  if (IsSet(json, "num_key_value_heads") && json["num_key_value_heads"] != config.num_attention_heads) {
    ThrowUsage("{}: `num_key_value_heads` is {} but latent attention has one key head per query head", where,
               json["num_key_value_heads"].dump());
  }
}

}  // namespace

const std::vector<std::string>& ModelTypes() {
  static const std::vector<std::string> types = [] {
    std::vector<std::string> names;
    for (const Family& family : kFamilies) names.emplace_back(family.model_type);
    return names;
  }();
  return types;
}

ModelConfig FileDefaults(const std::string& model_type) {
  ModelConfig c = Base(model_type);
  switch (const unsigned family = FamilyOf(model_type).bit) {
    case kV3: SetV3Defaults(c); break;
    case kV2: SetV2Defaults(c); break;
    case kLlama: SetLlamaDefaults(c); break;
    default: SetQwenDefaults(c, family); break;
  }
  return c;
}

ModelConfig RecipeDefaults(const std::string& model_type) {
  ModelConfig c = Base(model_type);
  if (!c.HasLatentAttention()) c.num_key_value_heads = 2;
  return c;
}

std::string_view ArchitectureOf(const ModelConfig& config) { return FamilyOf(config.model_type).architecture; }

std::string_view FileKey(const ModelConfig& config, std::string_view field) {
  const unsigned family = FamilyOf(config.model_type).bit;
  const auto* const rule =
      std::find_if(std::begin(kRules), std::end(kRules), [&](const Rule& r) { return r.field == field; });
  if (rule != std::end(kRules) && (rule->families & family) == 0) return {};
  if (family == kQwen3Moe && field == "n_routed_experts") return "num_experts";
  if (family == kQwen3Moe && field == "moe_layer_freq") return "decoder_sparse_step";
  return field;
}

void CheckFieldsOfFamily(const ModelConfig& config, std::string_view where) {
  ModelConfig own = config, defaults = RecipeDefaults(config.model_type);
  Fields fields, default_fields;
  own.ListFields(fields);
  defaults.ListFields(default_fields);
  for (size_t i = 0; i < fields.list().size(); ++i) {
    const Field& field = fields.list()[i];
    if (!FileKey(config, field.name).empty()) continue;
    std::visit(
        [&](auto* value) {
          const auto& fallback = *std::get<decltype(value)>(default_fields.list()[i].value);
          if (*value == fallback) return;
          ThrowUsage("{}: `{}` is {}, but models of type {} have no such setting: leave it at {}", where, field.name,
                     Json(*value).dump(), config.model_type, Json(fallback).dump());
        },
        field.value);
  }
}

void RefuseUnsupported(const Json& json, const ModelConfig& config, std::string_view where) {
  const unsigned family = FamilyOf(config.model_type).bit;
  Require(json, "hidden_act", "silu", where);
  Require(json, "attention_dropout", 0.0, where);
  Require(json, "partial_rotary_factor", 1.0, where);
  RefuseQuantization(json, where);
  if ((family & kLatent) != 0) return RefuseOfLatent(json, config, where);
  RefuseWindows(json, config, family, where);
}

void AddFixedKeys(const ModelConfig& config, OrderedJson& json) {
  if (config.HasLatentAttention()) {
    json["num_key_value_heads"] = config.num_attention_heads;
    json["attention_bias"] = false;
    if (config.is_v2()) json["rope_interleave"] = true;
  } else if (config.model_type != "llama") {
    json["use_sliding_window"] = false;
  }
  json["hidden_act"] = "silu";
  json["attention_dropout"] = 0.0;
  json["torch_dtype"] = "float32";
  json["use_cache"] = true;
}

}  // namespace sputnik
