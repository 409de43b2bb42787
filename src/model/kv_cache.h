// Pages of keys and values for sequences being generated. One page holds kKeyBlock tokens of one sequence in every
// layer. Which page belongs to whom is the engine's business.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/config.h"
#include "tensor/tensor.h"

namespace sputnik {

// Latent attention in two forms, equal in algebra and not in bits: expanded keys and values per head, as in training;
// or queries and outputs taken into the latent space, with a cache of kv_lora_rank + qk_rope_head_dim numbers per
// token. Grouped-query attention has one form, keys and values of its key heads, whichever is asked for.
enum class AttentionForm : uint8_t { kExpanded, kAbsorbed };

class KvCache {
 public:
  KvCache(const ModelConfig& config, AttentionForm form, DType dtype, int64_t pages);

  AttentionForm form() const { return form_; }
  int64_t pages() const { return pages_; }
  // [pages · kKeyBlock, width] of one layer.
  const Tensor& layer(int64_t layer) const { return layers_[static_cast<size_t>(layer)]; }
  void CopyPage(int64_t from, int64_t to);

  static int64_t BytesPerPage(const ModelConfig& config, AttentionForm form, DType dtype);

 private:
  AttentionForm form_;
  int64_t pages_;
  std::vector<std::unique_ptr<std::byte[]>> memory_;
  std::vector<Tensor> layers_;
};

}  // namespace sputnik
