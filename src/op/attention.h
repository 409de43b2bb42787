// Causal softmax attention over ragged sequences, with or without a paged cache.
#pragma once

#include "op/pass.h"

namespace sputnik {

// Which keys each query sees; the arrays (see AttentionArgs) outlive the tape. Made once per batch.
struct AttentionLayout {
  int64_t sequences = 0;
  const int32_t* query_start = nullptr;  // [S+1]
  const int32_t* key_count = nullptr;    // [S]
  const int32_t* key_start = nullptr;    // [S], without a cache
  const int32_t* block_table = nullptr;  // with a cache
  const int32_t* block_start = nullptr;  // [S+1]
};

// q [N, H, key_dim], k [rows, Hk, key_dim], v [rows, Hk, value_dim] → [N, H, value_dim]; Hk divides H.
Tensor Attention(Pass& pass, const Tensor& q, const Tensor& k, const Tensor& v, const AttentionLayout& layout,
                 double scale);

}  // namespace sputnik
