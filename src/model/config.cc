#include "model/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/elementary.h"
#include "base/error.h"
#include "base/json.h"
#include "model/family.h"
#include "model/rope_scaling.h"

namespace sputnik {
namespace {

constexpr double kMany = 1 << 30;  // the largest size there may be

void ReadField(const Json& value, std::string_view key, const Field& field, const std::string& where) {
  const auto refuse = [&](std::string_view expected) {
    ThrowUsage("{}: `{}` is {}, expected {}", where, key, value.dump(), expected);
  };
  const auto whole = [&](const Json& number) {
    if (!number.is_number_integer()) refuse("a whole number");
    if (number.is_number_unsigned() && number.get<uint64_t>() > uint64_t{1} << 62) refuse("a smaller number");
    return number.get<int64_t>();
  };
  if (key == "eos_token_id" && value.is_array()) return;  // ReadEndIds
  if (auto* const* flag = std::get_if<bool*>(&field.value)) {
    if (!value.is_boolean()) refuse("true or false");
    **flag = value.get<bool>();
  } else if (auto* const* integer = std::get_if<int64_t*>(&field.value)) {
    **integer = whole(value);
  } else if (auto* const* real = std::get_if<double*>(&field.value)) {
    if (!value.is_number()) refuse("a number");
    **real = value.get<double>();
  } else if (auto* const* text = std::get_if<std::string*>(&field.value)) {
    if (!value.is_string()) refuse("a string");
    **text = value.get<std::string>();
  } else if (auto* const* list = std::get_if<std::vector<int64_t>*>(&field.value)) {
    if (!value.is_array()) refuse("a list of whole numbers");
    (*list)->clear();
    for (const Json& number : value) (*list)->push_back(whole(number));
  }
  Field named = field;
  named.name = key;
  CheckField(named, where);
}

// An instruct model may have several tokens that end its answers.
void ReadEndIds(const Json& json, ModelConfig& config, const std::string& where) {
  const auto ids = json.find("eos_token_id");
  if (ids == json.end() || !ids->is_array()) return;
  std::vector<int64_t> read;
  for (const Json& id : *ids) {
    if (!id.is_number_integer()) ThrowUsage("{}: `eos_token_id` has {}, expected token ids", where, id.dump());
    read.push_back(id.get<int64_t>());
  }
  config.eos_token_id = read.empty() ? -1 : read.front();
  if (!read.empty()) config.more_eos_token_ids.assign(read.begin() + 1, read.end());
}

// Refuses what no machine holds, in floating point: products of sizes that are each in range may still overflow.
void CheckTotals(const ModelConfig& c, std::string_view where) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  const double d = number(c.hidden_size), heads = number(c.num_attention_heads), rank = number(c.kv_lora_rank);
  const double q = heads * number(c.qk_head_dim()), v = heads * number(c.value_dim()), q_rank = number(c.q_lora_rank);
  const double latent = (q_rank > 0 ? q_rank * (d + q) : q * d) + d * (rank + number(c.qk_rope_head_dim)) +
                        rank * (heads * number(c.qk_nope_head_dim) + v) + v * d;
  const double grouped = 2 * d * (q + number(c.key_heads()) * number(c.qk_head_dim()));
  const double attention = c.HasLatentAttention() ? latent : grouped;
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
  if (positions * number(c.rotary_dim()) > 0x1p30) {
    ThrowUsage(
        "{}: a table of {} positions (`max_position_embeddings`, `position_range`) is more than this program can hold",
        where, positions);
  }
}

}  // namespace

void ModelConfig::ListFields(Fields& f) {
  f.Add("model_type", &model_type, "deepseek_v3, deepseek_v2, qwen2, qwen3, qwen3_moe or llama").choices = ModelTypes();
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
  f.Add("mlp_only_layers", &mlp_only_layers, "blocks that are dense all the same (qwen3_moe)");
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
  f.Add("rope_interleave", &rope_interleave, "rotated pairs are neighbours, not halves apart");
  size("num_key_value_heads", &num_key_value_heads, 0, "heads of keys and values (not deepseek); 0: as many as heads");
  size("head_dim", &head_dim, 0, "width of a head (not deepseek); 0: hidden_size / num_attention_heads");
  f.Add("attention_bias", &attention_bias, "biases of the attention's projections");
  f.Add("mlp_bias", &mlp_bias, "biases of the feed-forward's projections (llama)");
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

bool ModelConfig::HasMoe(int64_t layer) const {
  if (n_routed_experts == 0) return false;
  if (HasLatentAttention()) return layer >= first_k_dense_replace && layer % moe_layer_freq == 0;
  const bool dense = std::find(mlp_only_layers.begin(), mlp_only_layers.end(), layer) != mlp_only_layers.end();
  return !dense && (layer + 1) % moe_layer_freq == 0;
}

int64_t ModelConfig::qk_head_dim() const {
  if (HasLatentAttention()) return qk_nope_head_dim + qk_rope_head_dim;
  return head_dim > 0 ? head_dim : hidden_size / num_attention_heads;
}

int64_t ModelConfig::key_heads() const {
  return HasLatentAttention() || num_key_value_heads == 0 ? num_attention_heads : num_key_value_heads;
}

double ModelConfig::SoftmaxScale() const {
  double scale = 1 / std::sqrt(static_cast<double>(qk_head_dim()));
  const bool yarn = rope_scaling.type == "yarn" && rope_scaling.factor > 1;
  if (HasLatentAttention() && yarn && rope_scaling.mscale_all_dim != 0) {
    const double mscale = 0.1 * rope_scaling.mscale_all_dim * Log(rope_scaling.factor) + 1;
    scale *= mscale * mscale;
  }
  return scale;
}

int64_t ModelConfig::CacheBytesPerToken(int64_t element_bytes) const {
  const int64_t numbers =
      HasLatentAttention() ? kv_lora_rank + qk_rope_head_dim : key_heads() * (qk_head_dim() + value_dim());
  return num_hidden_layers * numbers * element_bytes;
}

void ModelConfig::Validate(std::string_view where) const {
  ModelConfig copy = *this;
  Fields fields;
  copy.ListFields(fields);
  for (const Field& field : fields.list()) CheckField(field, where);
  if (vocab_size < 1) ThrowUsage("{}: `vocab_size` is {}, expected at least 1", where, vocab_size);
  CheckFieldsOfFamily(*this, where);
  if (rotary_dim() % 2 != 0 || rotary_dim() == 0) {
    ThrowUsage("{}: `{}` is {}, but rotation works on pairs: give an even number", where,
               HasLatentAttention() ? "qk_rope_head_dim" : "head_dim", rotary_dim());
  }
  if (num_attention_heads % key_heads() != 0) {
    ThrowUsage("{}: {} heads (`num_attention_heads`) do not share {} key heads (`num_key_value_heads`) evenly", where,
               num_attention_heads, key_heads());
  }
  if (model_type == "llama" && hidden_size % num_attention_heads != 0) {
    ThrowUsage("{}: `hidden_size` is {}, which is no multiple of `num_attention_heads`, {}, as llama wants it", where,
               hidden_size, num_attention_heads);
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
  const Json json = ReadJsonFile(path);
  const std::string where = path.string();
  if (!json.is_object()) ThrowUsage("{}: not a JSON object", where);
  const std::string types = fmt::format("{}", fmt::join(ModelTypes(), ", "));
  if (!json.contains("model_type") || !json["model_type"].is_string()) {
    ThrowUsage("{}: no `model_type`; expected one of {}", where, types);
  }
  const auto model_type = json["model_type"].get<std::string>();
  if (std::find(ModelTypes().begin(), ModelTypes().end(), model_type) == ModelTypes().end()) {
    ThrowUsage("{}: `model_type` {} is not supported; {} are", where, model_type, types);
  }
  ModelConfig config = FileDefaults(model_type);
  Fields fields;
  config.ListFields(fields);
  for (const Field& field : fields.list()) {
    const std::string_view key = FileKey(config, field.name);
    auto value = key.empty() ? json.end() : json.find(key);
    if (value == json.end() && key == "num_experts") value = json.find("num_local_experts");  // transformers 5
    if (value == json.end()) continue;
    if (!value->is_null()) {
      ReadField(*value, key, field, where);
    } else if (key == "q_lora_rank" || key == "num_key_value_heads" || key == "head_dim") {
      *std::get<int64_t*>(field.value) = 0;  // none, or as many as there are heads, or their share of the width
    }
  }
  ReadEndIds(json, config, where);
  ReadRopeScaling(json, config, where);
  RefuseUnsupported(json, config, where);
  config.Validate(where);
  return config;
}

std::string WriteModelConfig(ModelConfig config) {
  OrderedJson json;
  json["architectures"] = {ArchitectureOf(config)};
  if (!config.HasLatentAttention()) {
    config.num_key_value_heads = config.key_heads();
    config.head_dim = config.qk_head_dim();
  }
  Fields fields;
  config.ListFields(fields);
  for (const Field& field : fields.list()) {
    const std::string_view key = FileKey(config, field.name);
    if (!key.empty()) std::visit([&](const auto* value) { json[std::string(key)] = *value; }, field.value);
  }
  if (config.HasLatentAttention() && config.q_lora_rank == 0) json["q_lora_rank"] = nullptr;
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (json[key] == -1) json[key] = nullptr;
  }
  if (!config.more_eos_token_ids.empty()) {
    json["eos_token_id"] = {config.eos_token_id};
    for (const int64_t id : config.more_eos_token_ids) json["eos_token_id"].push_back(id);
  }
  AddFixedKeys(config, json);
  json["rope_scaling"] = WriteRopeScaling(config.rope_scaling);
  return json.dump(2) + "\n";
}

}  // namespace sputnik
