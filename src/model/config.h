// A model's shape, under the names of Hugging Face's config.json. Where families call the same thing differently, the
// name is DeepSeek's and model/family.h knows the others.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/fields.h"

namespace sputnik {

// How rotation frequencies are stretched beyond the length a model was first trained at; factor 0: they are not.
struct RopeScaling {
  std::string type = "yarn";  // Peng et al. 2023; or "llama3" (Llama 3.1's ramp over wavelengths), or "linear"
  double factor = 0;
  double beta_fast = 32, beta_slow = 1, mscale = 1, mscale_all_dim = 0;  // YaRN
  double attention_factor = 0;                                           // YaRN: 0: follows from the others
  double low_freq_factor = 1, high_freq_factor = 4;                      // llama3
  int64_t original_max_position_embeddings = 4096;
};

struct ModelConfig {
  std::string model_type = "deepseek_v3";
  int64_t vocab_size = 0, hidden_size = 128, intermediate_size = 384, moe_intermediate_size = 64;
  int64_t num_hidden_layers = 4, num_nextn_predict_layers = 0, num_attention_heads = 4;
  int64_t n_shared_experts = 1, n_routed_experts = 16, num_experts_per_tok = 2;
  int64_t n_group = 1, topk_group = 1, first_k_dense_replace = 1, moe_layer_freq = 1;
  std::vector<int64_t> mlp_only_layers;
  std::string topk_method = "noaux_tc", scoring_func = "sigmoid";
  bool norm_topk_prob = true, tie_word_embeddings = false;
  double routed_scaling_factor = 1, aux_loss_alpha = 0;
  // Latent attention (DeepSeek).
  int64_t q_lora_rank = 0, kv_lora_rank = 32, qk_nope_head_dim = 32, qk_rope_head_dim = 16, v_head_dim = 32;
  bool rope_interleave = true;
  // Grouped-query attention (the other families); 0: num_attention_heads, and hidden_size / num_attention_heads.
  int64_t num_key_value_heads = 0, head_dim = 0;
  bool attention_bias = false, mlp_bias = false;
  int64_t max_position_embeddings = 4096;
  double rms_norm_eps = 1e-6, initializer_range = 0.02, rope_theta = 10000;
  RopeScaling rope_scaling;
  // Ours: how token i of a sequence is placed. "ordinary": at i. "randomised": at the i-th of a sorted random subset of
  // [0, position_range), for length generalisation (Ruoss et al. 2023). "none": no rotation at all (NoPE).
  std::string position_mode = "ordinary";
  int64_t position_range = 0;
  int64_t bos_token_id = -1, eos_token_id = -1, pad_token_id = -1;
  std::vector<int64_t> more_eos_token_ids;  // of files whose eos_token_id is a list: all but the first

  void ListFields(Fields& fields);

  bool is_v2() const { return model_type == "deepseek_v2"; }
  bool HasLatentAttention() const { return model_type.starts_with("deepseek"); }
  bool HasHeadNorms() const { return model_type.starts_with("qwen3"); }  // RMS norm of each query and key head
  bool HasQkvBias() const { return attention_bias || model_type == "qwen2"; }
  bool HasMoe(int64_t layer) const;
  bool HasRouterBias() const { return topk_method == "noaux_tc"; }
  // Widths of one head, in either kind of attention, and how many heads keys and values have.
  int64_t qk_head_dim() const;
  int64_t rotary_dim() const { return HasLatentAttention() ? qk_rope_head_dim : qk_head_dim(); }
  int64_t value_dim() const { return HasLatentAttention() ? v_head_dim : qk_head_dim(); }
  int64_t key_heads() const;
  bool RotatesHalves() const { return !HasLatentAttention() || !rope_interleave; }  // pairs (x_i, x_{i + dim/2})
  // 1/sqrt(qk_head_dim); with latent attention and YaRN times mscale² (spec: V2 report, Hugging Face's scaling).
  double SoftmaxScale() const;
  // Of the smallest cache, main layers: latents, or the key heads' keys and values.
  int64_t CacheBytesPerToken(int64_t element_bytes) const;

  // Throws Error (usage) naming the key: sizes that don't divide, top-k over the number of experts, what the family
  // has no key for, and so on. `where` is the file or recipe section the config came from.
  void Validate(std::string_view where) const;
};

// Reads config.json. Keys that are missing keep Hugging Face's defaults for the model type; a key whose meaning would
// change the arithmetic and that is not supported is refused by name.
ModelConfig ReadModelConfig(const std::filesystem::path& path);
std::string WriteModelConfig(ModelConfig config);  // JSON text, loadable by transformers

}  // namespace sputnik
