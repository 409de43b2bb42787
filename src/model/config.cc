#include "model/config.h"

#include <algorithm>
#include <cmath>

#include "base/elementary.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace sputnik {
namespace {

constexpr double kMany = 1 << 30;  // the largest size there may be

// What transformers takes for keys that config.json leaves out. It writes neither topk_method nor scoring_func for V3.
ModelConfig FamilyDefaults(const std::string& model_type) {
  ModelConfig c;
  c.model_type = model_type;
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
  if (!c.is_v2()) return c;
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
  return c;
}

void ReadField(const Json& value, const Field& field, const std::string& where) {
  const auto refuse = [&](std::string_view expected) {
    ThrowUsage("{}: `{}` is {}, expected {}", where, field.name, value.dump(), expected);
  };
  if (auto* const* flag = std::get_if<bool*>(&field.value)) {
    if (!value.is_boolean()) refuse("true or false");
    **flag = value.get<bool>();
  } else if (auto* const* integer = std::get_if<int64_t*>(&field.value)) {
    if (!value.is_number_integer()) refuse("a whole number");
    if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{1} << 62) refuse("a smaller number");
    **integer = value.get<int64_t>();
  } else if (auto* const* real = std::get_if<double*>(&field.value)) {
    if (!value.is_number()) refuse("a number");
    **real = value.get<double>();
  } else if (auto* const* text = std::get_if<std::string*>(&field.value)) {
    if (!value.is_string()) refuse("a string");
    **text = value.get<std::string>();
  }
  CheckField(field, where);
}

// `rope_scaling` (published folders) or `rope_parameters` (transformers 5, with rope_theta inside).
void ReadRopeScaling(const Json& json, const std::string& key, ModelConfig& config, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return;
  const Json& object = *found;
  if (!object.is_object()) ThrowUsage("{}: `{}` is not an object", where, key);
  const auto number = [&](const char* name, double fallback, double least, double most) {
    const auto entry = object.find(name);
    if (entry == object.end() || entry->is_null()) return fallback;
    const double value = entry->is_number() ? entry->get<double>() : -1;
    if (!entry->is_number() || !(value >= least && value <= most)) {
      ThrowUsage("{}: `{}.{}` is {}, expected a number between {} and {}", where, key, name, entry->dump(), least,
                 most);
    }
    return value;
  };
  const auto require = [&](const char* name, const Json& only) {
    const auto entry = object.find(name);
    if (entry != object.end() && !entry->is_null() && *entry != only) {
      ThrowUsage("{}: `{}.{}` is {}, and only {} is supported", where, key, name, entry->dump(), only.dump());
    }
  };
  config.rope_theta = number("rope_theta", config.rope_theta, 1, 1e18);
  require("partial_rotary_factor", 1.0);
  Json type = "default";
  for (const char* name : {"type", "rope_type"}) {
    if (object.contains(name) && !object[name].is_null()) type = object[name];
  }
  if (type == "default") return;
  if (type != "yarn") ThrowUsage("{}: {} of type {} is not supported; only \"yarn\" is", where, key, type.dump());
  require("attention_factor", nullptr);
  require("truncate", true);
  RopeScaling& yarn = config.rope_scaling;
  if (!object.contains("factor")) ThrowUsage("{}: `{}.factor` is missing", where, key);
  yarn.factor = number("factor", 1, 1, 1e6);
  yarn.beta_fast = number("beta_fast", 32, 1e-3, 1e6);
  yarn.beta_slow = number("beta_slow", 1, 1e-3, 1e6);
  yarn.mscale = number("mscale", 1, 0, 1e3);
  yarn.mscale_all_dim = number("mscale_all_dim", 0, 0, 1e3);
  yarn.original_max_position_embeddings = static_cast<int64_t>(
      number("original_max_position_embeddings", static_cast<double>(config.max_position_embeddings), 1, kMany));
  if (config.rope_theta <= 1)
    ThrowUsage("{}: `rope_theta` is {}, but YaRN needs more than 1", where, config.rope_theta);
}

// Refuses what no machine holds, in floating point: products of sizes that are each in range may still overflow.
void CheckTotals(const ModelConfig& c, std::string_view where) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  const double d = number(c.hidden_size), heads = number(c.num_attention_heads), rank = number(c.kv_lora_rank);
  const double q = heads * number(c.qk_head_dim()), v = heads * number(c.v_head_dim), q_rank = number(c.q_lora_rank);
  const double attention = (q_rank > 0 ? q_rank * (d + q) : q * d) + d * (rank + number(c.qk_rope_head_dim)) +
                           rank * (heads * number(c.qk_nope_head_dim) + v) + v * d;
  const double experts = number(c.n_routed_experts), width = 3 * d * number(c.moe_intermediate_size);
  const double ffn = std::max(3 * d * number(c.intermediate_size), (experts + number(c.n_shared_experts)) * width);
  const double layers = number(c.num_hidden_layers + c.num_nextn_predict_layers);
  const double parameters = 2 * number(c.vocab_size) * d + layers * (attention + ffn),
               tensors = layers * (3 * experts + 20);
  if (parameters > 0x1p50 || tensors > 0x1p20) {
    ThrowUsage("{}: the sizes describe {:.1e} parameters in {:.1e} tensors, which is more than this program can hold",
               where, parameters, tensors);
  }
  const double positions = number(std::max(c.max_position_embeddings, c.position_range));
  if (positions * number(c.qk_rope_head_dim) > 0x1p30) {
    ThrowUsage(
        "{}: a table of {} positions (`max_position_embeddings`, `position_range`) is more than this program can hold",
        where, positions);
  }
}

// Values that transformers writes and that change nothing here, or must have one value.
void RefuseUnsupported(const Json& json, const std::string& where) {
  const auto require = [&](const char* key, const Json& only) {
    if (json.contains(key) && !json[key].is_null() && json[key] != only) {
      ThrowUsage("{}: `{}` is {}, and only {} is supported", where, key, json[key].dump(), only.dump());
    }
  };
  require("attention_bias", false);
  require("mlp_bias", false);
  require("hidden_act", "silu");
  require("rope_interleave", true);
  require("attention_dropout", 0.0);
  const auto heads = json.find("num_key_value_heads");
  if (heads != json.end() && json.contains("num_attention_heads") && *heads != json["num_attention_heads"]) {
    ThrowUsage("{}: `num_key_value_heads` is {} but latent attention has one key head per query head", where,
               heads->dump());
  }
}

// DeepSeek-V3's eight-bit weights, and no other quantisation.
bool ReadFp8(const Json& json, const std::string& where) {
  const auto found = json.find("quantization_config");
  if (found == json.end() || found->is_null()) return false;
  const auto is = [&](const char* key, const Json& value) { return found->contains(key) && (*found)[key] == value; };
  const bool known = found->is_object() && is("quant_method", "fp8") && is("weight_block_size", {128, 128}) &&
                     (!found->contains("fmt") || is("fmt", "e4m3"));
  if (!known) {
    ThrowUsage(
        "{}: of quantised weights (`quantization_config`) only `quant_method` fp8 in e4m3 with "
        "`weight_block_size` [128, 128] is supported",
        where);
  }
  return true;
}

}  // namespace

void ModelConfig::ListFields(Fields& f) {
  f.Add("model_type", &model_type, "deepseek_v3 or deepseek_v2").choices = {"deepseek_v3", "deepseek_v2"};
  const auto size = [&](std::string_view name, int64_t* value, double least, std::string_view help) {
    Field& field = f.Add(name, value, help);
    field.minimum = least;
    field.maximum = kMany;
  };
  size("vocab_size", &vocab_size, 0, "token ids, 0: from the tokenizer");
  size("hidden_size", &hidden_size, 1, "width of the residual stream");
  size("intermediate_size", &intermediate_size, 1, "width of the dense feed-forward layers");
  size("moe_intermediate_size", &moe_intermediate_size, 1, "width of one expert");
  size("num_hidden_layers", &num_hidden_layers, 1, "blocks");
  size("num_nextn_predict_layers", &num_nextn_predict_layers, 0, "multi-token prediction depth");
  size("num_attention_heads", &num_attention_heads, 1, "heads");
  size("n_shared_experts", &n_shared_experts, 0, "experts that see every token");
  size("n_routed_experts", &n_routed_experts, 0, "routed experts; 0: dense layers only");
  size("num_experts_per_tok", &num_experts_per_tok, 1, "routed experts per token (top-k)");
  size("n_group", &n_group, 1, "expert groups");
  size("topk_group", &topk_group, 1, "groups a token may use");
  size("first_k_dense_replace", &first_k_dense_replace, 0, "leading blocks that are dense");
  size("moe_layer_freq", &moe_layer_freq, 1, "every n-th block after those has experts");
  f.Add("topk_method", &topk_method, "noaux_tc, greedy or group_limited_greedy").choices = {"noaux_tc", "greedy",
                                                                                            "group_limited_greedy"};
  f.Add("scoring_func", &scoring_func, "sigmoid or softmax").choices = {"sigmoid", "softmax"};
  f.Add("norm_topk_prob", &norm_topk_prob, "divide the chosen experts' weights by their sum");
  f.Add("tie_word_embeddings", &tie_word_embeddings, "the head is the embedding");
  f.Add("routed_scaling_factor", &routed_scaling_factor, "factor on the routed experts' weights");
  f.Add("aux_loss_alpha", &aux_loss_alpha, "weight of the sequence-wise balance loss").minimum = 0;
  size("q_lora_rank", &q_lora_rank, 0, "query compression; 0: none");
  size("kv_lora_rank", &kv_lora_rank, 1, "width of the cached latent");
  size("qk_nope_head_dim", &qk_nope_head_dim, 1, "unrotated part of a query and key head");
  size("qk_rope_head_dim", &qk_rope_head_dim, 2, "rotated part, even");
  size("v_head_dim", &v_head_dim, 1, "width of a value head");
  size("max_position_embeddings", &max_position_embeddings, 1, "longest sequence");
  f.Add("rms_norm_eps", &rms_norm_eps, "epsilon of the norms").minimum = 0;
  f.Add("initializer_range", &initializer_range, "standard deviation of initial weights").minimum = 0;
  f.Add("rope_theta", &rope_theta, "base of the rotation frequencies").minimum = 1;
  f.Add("position_mode", &position_mode, "ordinary, randomised or none").choices = {"ordinary", "randomised", "none"};
  size("position_range", &position_range, 0, "positions that randomised ones are drawn from");
  f.Add("bos_token_id", &bos_token_id, "first token of a text; -1: none");
  f.Add("eos_token_id", &eos_token_id, "last token of a text; -1: none");
  f.Add("pad_token_id", &pad_token_id, "unused by this program; -1: none");
}

double ModelConfig::SoftmaxScale() const {
  double scale = 1 / std::sqrt(static_cast<double>(qk_head_dim()));
  if (rope_scaling.factor > 1 && rope_scaling.mscale_all_dim != 0) {
    const double mscale = 0.1 * rope_scaling.mscale_all_dim * Log(rope_scaling.factor) + 1;
    scale *= mscale * mscale;
  }
  return scale;
}

int64_t ModelConfig::CacheBytesPerToken(int64_t element_bytes) const {
  return num_hidden_layers * (kv_lora_rank + qk_rope_head_dim) * element_bytes;
}

void ModelConfig::Validate(std::string_view where) const {
  ModelConfig copy = *this;
  Fields fields;
  copy.ListFields(fields);
  for (const Field& field : fields.list()) CheckField(field, where);
  if (vocab_size < 1) ThrowUsage("{}: `vocab_size` is {}, expected at least 1", where, vocab_size);
  if (qk_rope_head_dim % 2 != 0) {
    ThrowUsage("{}: `qk_rope_head_dim` is {}, but rotation works on pairs: give an even number", where,
               qk_rope_head_dim);
  }
  if (position_mode == "randomised" && position_range < 1) {
    ThrowUsage("{}: `position_mode` is randomised, so `position_range` must say how many positions there are", where);
  }
  CheckTotals(*this, where);
  if (n_routed_experts == 0) return;
  if (num_experts_per_tok > n_routed_experts) {
    ThrowUsage("{}: `num_experts_per_tok` is {} but there are only {} experts (`n_routed_experts`)", where,
               num_experts_per_tok, n_routed_experts);
  }
  if (n_routed_experts % n_group != 0) {
    ThrowUsage("{}: {} experts (`n_routed_experts`) do not divide into {} groups (`n_group`)", where, n_routed_experts,
               n_group);
  }
  if (topk_group > n_group) {
    ThrowUsage("{}: `topk_group` is {} but there are only {} groups (`n_group`)", where, topk_group, n_group);
  }
  if (topk_method != "greedy" && num_experts_per_tok > topk_group * (n_routed_experts / n_group)) {
    ThrowUsage("{}: `num_experts_per_tok` is {} but the {} groups a token may use hold only {} experts", where,
               num_experts_per_tok, topk_group, topk_group * (n_routed_experts / n_group));
  }
  if (topk_method == "noaux_tc" && n_group > 1 && n_routed_experts / n_group < 2) {
    ThrowUsage("{}: a group's score is the sum of its two best experts, so `n_group` must leave two in each", where);
  }
}

ModelConfig ReadModelConfig(const std::filesystem::path& path) {
  const Json json = ReadStrictJsonFile(path, 1 << 19);
  const std::string where = path.string();
  if (!json.is_object()) ThrowUsage("{}: not a JSON object", where);
  ModelConfig config;
  if (!json.contains("model_type") || !json["model_type"].is_string()) {
    ThrowUsage("{}: no `model_type`; expected deepseek_v3 or deepseek_v2", where);
  }
  config.model_type = json["model_type"].get<std::string>();
  if (config.model_type != "deepseek_v3" && !config.is_v2()) {
    ThrowUsage("{}: `model_type` {} is not supported; deepseek_v3 and deepseek_v2 are", where, config.model_type);
  }
  config = FamilyDefaults(config.model_type);
  Fields fields;
  config.ListFields(fields);
  for (const Field& field : fields.list()) {
    const auto value = json.find(field.name);
    if (value != json.end() && !value->is_null()) ReadField(*value, field, where);
  }
  if (json.contains("q_lora_rank") && json["q_lora_rank"].is_null()) config.q_lora_rank = 0;
  for (const char* key : {"rope_scaling", "rope_parameters"}) ReadRopeScaling(json, key, config, where);
  RefuseUnsupported(json, where);
  config.fp8 = ReadFp8(json, where);
  config.source = ReadFile(path);
  config.Validate(where);
  return config;
}

std::string WriteModelConfig(ModelConfig config) {
  OrderedJson json;
  json["architectures"] = {config.is_v2() ? "DeepseekV2ForCausalLM" : "DeepseekV3ForCausalLM"};
  Fields fields;
  config.ListFields(fields);
  for (const Field& field : fields.list()) {
    std::visit([&](const auto* value) { json[field.name] = *value; }, field.value);
  }
  if (config.q_lora_rank == 0) json["q_lora_rank"] = nullptr;
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (json[key] == -1) json[key] = nullptr;
  }
  json["num_key_value_heads"] = config.num_attention_heads;
  json["hidden_act"] = "silu";
  json["attention_bias"] = false;
  json["attention_dropout"] = 0.0;
  json["rope_interleave"] = true;
  json["torch_dtype"] = "float32";
  json["use_cache"] = true;
  const RopeScaling& scaling = config.rope_scaling;
  json["rope_scaling"] = nullptr;
  if (scaling.factor > 0) {
    json["rope_scaling"] = {{"type", "yarn"},
                            {"rope_type", "yarn"},
                            {"factor", scaling.factor},
                            {"beta_fast", scaling.beta_fast},
                            {"beta_slow", scaling.beta_slow},
                            {"mscale", scaling.mscale},
                            {"mscale_all_dim", scaling.mscale_all_dim},
                            {"original_max_position_embeddings", scaling.original_max_position_embeddings}};
  }
  return json.dump(2) + "\n";
}

}  // namespace sputnik
