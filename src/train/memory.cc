#include "train/memory.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "base/error.h"
#include "model/param.h"

namespace sputnik {
namespace {

constexpr int64_t kFloat = 4;

// Floats kept per token by one block's ops (model/block.cc, in order).
int64_t BlockFloats(const ModelConfig& c, bool moe) {
  const int64_t d = c.hidden_size, heads = c.num_attention_heads, q = heads * c.qk_head_dim();
  int64_t floats = 2 * d;  // norm, residual sum
  if (c.HasLatentAttention()) {
    floats += (c.q_lora_rank > 0 ? 2 * c.q_lora_rank + q : q);       // queries
    floats += c.kv_lora_rank + c.qk_rope_head_dim + c.kv_lora_rank;  // latent and its norm
    floats += heads * (c.qk_nope_head_dim + c.v_head_dim) + q;       // expanded keys and values, joined keys
  } else {
    const int64_t k = c.key_heads() * c.qk_head_dim();
    floats += q + 2 * k;                                            // queries, keys and values
    if (c.HasHeadNorms()) floats += q + heads + k + c.key_heads();  // their norms
  }
  floats += heads * (c.value_dim() + 1) + d;  // attention output, its projection
  floats += 2 * d;                            // norm, residual sum
  if (!moe) return floats + 3 * c.intermediate_size + d;
  floats += 3 * c.n_routed_experts + 4 * c.num_experts_per_tok + d;
  floats += c.n_shared_experts * 3 * c.moe_intermediate_size + d;
  return floats + c.num_experts_per_tok * (2 * d + 3 * c.moe_intermediate_size);
}

int64_t ActivationBytes(const ModelConfig& config, int64_t micro_batch_tokens, bool recompute, bool with_mtp) {
  int64_t per_token = 3 * config.hidden_size, largest_block = 0;
  const int64_t layers = config.num_hidden_layers + (with_mtp ? config.num_nextn_predict_layers : 0);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const bool main = layer < config.num_hidden_layers;
    const int64_t block = BlockFloats(config, main ? config.HasMoe(layer) : config.n_routed_experts > 0);
    largest_block = std::max(largest_block, block);
    per_token += recompute && main ? config.hidden_size : block + (main ? 0 : 6 * config.hidden_size);
  }
  if (recompute) per_token += largest_block;
  // Every activation has a gradient of its size; logits come in chunks of about a mebibyte.
  return micro_batch_tokens * per_token * kFloat * 2 + (int64_t{4} << 20);
}

}  // namespace

MemoryEstimate EstimateTrainingMemory(const ModelConfig& config, const OptimizerConfig& optimizer,
                                      int64_t micro_batch_tokens, bool recompute, bool with_mtp) {
  MemoryEstimate estimate;
  for (const ParamSpec& spec : ListParams(config)) {
    const int64_t bytes = spec.elements() * kFloat;
    estimate.parameters += bytes;
    estimate.gradients += bytes;
    estimate.optimizer += bytes * (optimizer.optimizer == "muon" && spec.role == ParamRole::kMatrix ? 1 : 2);
  }
  estimate.activations = ActivationBytes(config, micro_batch_tokens, recompute, with_mtp);
  return estimate;
}

MemoryEstimate EstimateAdapterMemory(const ModelConfig& config, const AdapterConfig& adapter, int64_t weight_bytes,
                                     const OptimizerConfig& optimizer, int64_t micro_batch_tokens, bool recompute,
                                     bool with_mtp) {
  MemoryEstimate estimate{.parameters = weight_bytes};
  double narrow = 0;  // floats per token between A and B, before and after they are scaled
  for (const AdaptedModule& module : FindModules(config, adapter.targets)) {
    const int64_t bytes = adapter.rank * (module.inputs + module.outputs) * kFloat;
    estimate.parameters += bytes;
    estimate.gradients += bytes;
    estimate.optimizer += bytes * (optimizer.optimizer == "muon" ? 1 : 2);
    const auto rank = static_cast<double>(adapter.rank);
    narrow += 2 * rank *
              (module.routed_expert
                   ? static_cast<double>(config.num_experts_per_tok) / static_cast<double>(config.n_routed_experts)
                   : 1);
  }
  if (recompute) narrow /= static_cast<double>(config.num_hidden_layers);
  estimate.activations = ActivationBytes(config, micro_batch_tokens, recompute, with_mtp) +
                         static_cast<int64_t>(narrow) * micro_batch_tokens * kFloat * 2;
  return estimate;
}

int64_t EstimateForwardMemory(const ModelConfig& config, int64_t tokens) {
  int64_t largest_block = 0;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    largest_block = std::max(largest_block, BlockFloats(config, config.HasMoe(layer)));
  }
  // Rotations are computed for the positions that occur.
  return tokens * (2 * config.hidden_size + largest_block + config.rotary_dim()) * kFloat;
}

int64_t AvailableMemory() {
  int64_t available = int64_t{1} << 62;
  std::ifstream info("/proc/meminfo");
  for (std::string key; info >> key;) {
    int64_t kib = 0;
    if (key == "MemAvailable:" && info >> kib) available = kib << 10;
  }
  std::ifstream limit_file("/sys/fs/cgroup/memory.max"), used_file("/sys/fs/cgroup/memory.current");
  int64_t limit = 0, used = 0;
  if (limit_file >> limit && used_file >> used) {
    // What the group uses includes pages of files that give way to whoever asks for memory.
    std::ifstream statistics("/sys/fs/cgroup/memory.stat");
    for (std::string key; statistics >> key;) {
      int64_t bytes = 0;
      if (key == "inactive_file" && statistics >> bytes) used -= bytes;
    }
    available = std::min(available, std::max<int64_t>(limit - used, 0));
  }
  return available;
}

namespace {

// `at_1024` is the estimate for 1024 tokens with recompute.
void RefuseLarger(const MemoryEstimate& need, const MemoryEstimate& at_1024, int64_t available) {
  if (need.total() <= available) return;
  const int64_t fixed = need.parameters + need.gradients + need.optimizer;
  const int64_t fit =
      available > fixed ? (available - fixed) / std::max<int64_t>(at_1024.activations / 1024, 1) / 256 * 256 : 0;
  ThrowUsage(
      "training needs about {} MiB ({} for weights, gradients and optimizer, {} for activations) but {} MiB are "
      "free; {}",
      need.total() >> 20, fixed >> 20, need.activations >> 20, available >> 20,
      fit >= 256 ? fmt::format("with recompute = true, micro_batch_tokens = {} would fit", fit)
                 : std::string("choose a smaller model"));
}

}  // namespace

void CheckTrainingMemory(const ModelConfig& config, const OptimizerConfig& optimizer, const TrainConfig& train,
                         int64_t available) {
  const bool mtp = train.mtp_weight > 0;
  RefuseLarger(EstimateTrainingMemory(config, optimizer, train.micro_batch_tokens, train.recompute, mtp),
               EstimateTrainingMemory(config, optimizer, 1024, true, mtp), available);
}

MemoryEstimate CheckAdapterMemory(const ModelConfig& config, const AdapterConfig& adapter, int64_t weight_bytes,
                                  const OptimizerConfig& optimizer, const TrainConfig& train, int64_t available) {
  const bool mtp = train.mtp_weight > 0;
  const MemoryEstimate need =
      EstimateAdapterMemory(config, adapter, weight_bytes, optimizer, train.micro_batch_tokens, train.recompute, mtp);
  RefuseLarger(need, EstimateAdapterMemory(config, adapter, weight_bytes, optimizer, 1024, true, mtp), available);
  return need;
}

}  // namespace sputnik
