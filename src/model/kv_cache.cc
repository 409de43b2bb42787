#include "model/kv_cache.h"

#include <cstring>

#include "tensor/batch.h"

namespace sputnik {
namespace {

int64_t Width(const ModelConfig& config, AttentionForm form) {
  if (!config.HasLatentAttention()) return config.key_heads() * (config.qk_head_dim() + config.value_dim());
  return form == AttentionForm::kExpanded ? config.num_attention_heads * (config.qk_head_dim() + config.v_head_dim)
                                          : config.kv_lora_rank + config.qk_rope_head_dim;
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, AttentionForm form, DType dtype, int64_t pages)
    : form_(config.HasLatentAttention() ? form : AttentionForm::kExpanded), pages_(pages) {
  CHECK_GT(pages, 0);
  const int64_t width = Width(config, form), rows = pages * kKeyBlock;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    memory_.push_back(std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(rows * width * SizeOf(dtype))));
    layers_.emplace_back(memory_.back().get(), dtype, std::initializer_list<int64_t>{rows, width});
  }
}

void KvCache::CopyPage(int64_t from, int64_t to) {
  CHECK(from >= 0 && from < pages_ && to >= 0 && to < pages_);
  for (const Tensor& layer : layers_) {
    const auto bytes = static_cast<size_t>(kKeyBlock * layer.size(1) * SizeOf(layer.dtype()));
    auto* memory = static_cast<std::byte*>(layer.data());
    std::memcpy(memory + static_cast<size_t>(to) * bytes, memory + static_cast<size_t>(from) * bytes, bytes);
  }
}

int64_t KvCache::BytesPerPage(const ModelConfig& config, AttentionForm form, DType dtype) {
  return config.num_hidden_layers * kKeyBlock * Width(config, form) * SizeOf(dtype);
}

}  // namespace sputnik
