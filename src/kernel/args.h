// What kernels are given: plain structs of pointers and sizes, one per kernel family. Every kernel writes only what its
// struct calls an output. `dtype` is the type of all activations (F32, or F64 on the reference machine); strides are in
// elements between rows, and columns are always adjacent. "added to" means the result is accumulated into memory.
//
// Numerics (docs/numerics.md): a matrix product's element is one chain of fused multiply-adds over ascending K,
// starting from the old value where it is added to, else from zero. A reduction along a row uses 16 lanes (element i
// goes to lane i mod 16, in ascending order) and then the fixed tree lanes 8+, 4+, 2+, 1+.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace sputnik {

// ---- linear
// ---------------------------------------------------------------------------------------------------------- y[rows,
// outputs] = x[rows, inputs] · w[outputs, inputs]ᵀ, and its two backwards:
//   linear                 writes y
//   linear_backward_input  writes x as dx = dy · w        (chain over outputs)
//   linear_backward_weight writes w as dw = dyᵀ · x       (chain over rows)
struct LinearArgs {
  DType dtype = DType::kF32;
  DType weight_dtype =
      DType::kF32;  // BF16 weights are widened exactly; only `linear` and `linear_backward_input` take them
  int64_t rows = 0, outputs = 0, inputs = 0;
  void* x = nullptr;
  int64_t x_stride = 0;
  void* w = nullptr;
  int64_t w_stride = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  bool accumulate = false;  // the output is added to instead of overwritten
};

// The same three products for consecutive groups of rows, each with its own weight matrix (experts). Rows
// [group_start[g], group_start[g+1]) use w[g]; groups may be empty.
struct GroupedLinearArgs {
  DType dtype = DType::kF32;
  DType weight_dtype = DType::kF32;
  int64_t groups = 0;
  const int32_t* group_start = nullptr;  // [groups + 1]
  int64_t outputs = 0, inputs = 0;
  void* x = nullptr;
  int64_t x_stride = 0;
  void* const* w = nullptr;  // [groups] pointers to [outputs, inputs], rows `w_stride` apart
  int64_t w_stride = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  bool accumulate = false;
};

// ---- norm
// ------------------------------------------------------------------------------------------------------------ y = gain
// · x · inv_rms, inv_rms = 1 / sqrt(mean(x²) + epsilon).
struct RmsNormArgs {
  DType dtype = DType::kF32;
  int64_t rows = 0, columns = 0;
  const void* x = nullptr;
  int64_t x_stride = 0;
  const void* gain = nullptr;  // [columns]
  double epsilon = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  void* inv_rms = nullptr;  // [rows] output of the forward, input of the backward
};
// dx and dgain are added to. dgain is one chain over rows per column.
struct RmsNormBackwardArgs {
  RmsNormArgs forward;  // y unused
  const void* dy = nullptr;
  int64_t dy_stride = 0;
  void* dx = nullptr;
  int64_t dx_stride = 0;
  void* dgain = nullptr;  // null: not wanted
};

// ---- rope
// ------------------------------------------------------------------------------------------------------------ y =
// rotation of each head's pairs by the angle of the token's position: y_first = x_first cos - x_second sin, y_second =
// x_second cos + x_first sin. `inverse` turns back by the same angle: the backward. x and y may be the same memory.
enum class RopeLayout : uint8_t {
  kInterleaved,  // pairs (x0, x1), (x2, x3)…; a table row is cos, sin of pair i at columns 2i, 2i + 1 (DeepSeek)
  kHalves,       // pairs (x_i, x_{i + dim/2}); a table row is every cos, then every sin (Llama, Qwen)
};
struct RopeArgs {
  DType dtype = DType::kF32;
  RopeLayout layout = RopeLayout::kInterleaved;
  int64_t tokens = 0, heads = 0, dim = 0;
  const void* x = nullptr;
  int64_t x_stride = 0, x_head_stride = 0;
  void* y = nullptr;
  int64_t y_stride = 0, y_head_stride = 0;
  const void* table = nullptr;  // [positions, dim]
  const int32_t* positions = nullptr;
  bool inverse = false;
  bool accumulate = false;
};

// ---- pointwise
// ------------------------------------------------------------------------------------------------------- add:  y = a +
// b (b_stride 0: one row for all)          add_to: y += scale · a, fused (b unused)          copy: y = a
struct AddArgs {
  DType dtype = DType::kF32;
  int64_t rows = 0, columns = 0;
  const void* a = nullptr;
  int64_t a_stride = 0;
  const void* b = nullptr;
  int64_t b_stride = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  double scale = 1;  // of add_to
};
// y = silu(gate) · up, silu(g) = g / (1 + exp(-g)).
struct SwigluArgs {
  DType dtype = DType::kF32;
  int64_t rows = 0, columns = 0;
  const void* gate = nullptr;
  const void* up = nullptr;
  int64_t in_stride = 0;  // of gate and up
  void* y = nullptr;
  int64_t y_stride = 0;
};
// dgate and dup are added to.
struct SwigluBackwardArgs {
  SwigluArgs forward;  // y unused
  const void* dy = nullptr;
  int64_t dy_stride = 0;
  void* dgate = nullptr;
  void* dup = nullptr;
  int64_t din_stride = 0;
};
// gather:      y[i] = x[index[i]]
// scatter_add: x[index[i]] += y[i], in ascending i for each target row (the backward of gather; x is the output)
// scatter:     x[index[i]] = y[i], no target row twice
struct GatherArgs {
  DType dtype = DType::kF32;
  DType table_dtype = DType::kF32;  // of x; BF16 only for gather
  int64_t rows = 0, columns = 0;    // rows of y
  void* x = nullptr;
  int64_t x_stride = 0;
  const int32_t* index = nullptr;  // [rows]
  void* y = nullptr;
  int64_t y_stride = 0;
  bool accumulate = false;  // gather only: y is added to
};

// ---- attention
// ------------------------------------------------------------------------------------------------------- Causal
// softmax attention over ragged sequences. Query row r of sequence s (r from query_start[s]) sees the keys 0 …
// key_count[s] - queries(s) + (r - query_start[s]). Query head h reads key head h / (heads / key_heads).
//   score_j = scale · chain over d of q_d k_jd;  p = exp(score - max);  o = (chain over j of p_j v_j) · (1 / Σp)
// Key j of sequence s lies in row key_start[s] + j, or, with a block table, in row
// block_table[block_start[s] + j / key_block] · key_block + j mod key_block.
struct AttentionArgs {
  DType dtype = DType::kF32;
  int64_t sequences = 0, heads = 0, key_heads = 0, key_dim = 0, value_dim = 0, key_block = 16;
  const int32_t* query_start = nullptr;  // [sequences + 1]
  const int32_t* key_count = nullptr;    // [sequences] keys visible to the last query
  const int32_t* key_start = nullptr;    // [sequences], without a block table
  const int32_t* block_table = nullptr;
  const int32_t* block_start = nullptr;  // [sequences + 1]
  double scale = 1;
  const void* q = nullptr;  // [queries, heads, key_dim]
  int64_t q_stride = 0, q_head_stride = 0;
  const void* k = nullptr;  // [rows, key_heads, key_dim]
  int64_t k_stride = 0, k_head_stride = 0;
  const void* v = nullptr;  // [rows, key_heads, value_dim]
  int64_t v_stride = 0, v_head_stride = 0;
  void* o = nullptr;  // [queries, heads, value_dim]
  int64_t o_stride = 0, o_head_stride = 0;
  void* lse = nullptr;  // [queries, heads] max + log Σp; output, null: not wanted
};
// dq, dk, dv are added to; their memory must not overlap. Without a block table only.
//   D = do · o (16-lane tree);  p = exp(score - lse);  ds = (p · (chain over value dim of do_c v_c - D)) · scale
//   dq: a chain over keys of ds k;  dk, dv: a chain of ds q and p do over the query heads of the key head, and within
//   each over queries, ascending.
struct AttentionBackwardArgs {
  AttentionArgs forward;  // with o and lse as the forward left them
  const void* d_o = nullptr;
  int64_t d_o_stride = 0, d_o_head_stride = 0;
  void* dq = nullptr;  // strides of q, k, v gradients
  int64_t dq_stride = 0, dq_head_stride = 0;
  void* dk = nullptr;
  int64_t dk_stride = 0, dk_head_stride = 0;
  void* dv = nullptr;
  int64_t dv_stride = 0, dv_head_stride = 0;
};

// ---- moe
// -------------------------------------------------------------------------------------------------------------
// DeepSeek's routers (V3 report eq. 12–16, V2 report eq. 20–25): scores, group limit, top-k, weights.
enum class RouterScore : uint8_t { kSigmoid, kSoftmax };
enum class RouterMethod : uint8_t { kGreedy, kGroupLimitedGreedy, kNoAuxTc };
struct RouterArgs {
  DType dtype = DType::kF32;
  RouterScore score = RouterScore::kSigmoid;
  RouterMethod method = RouterMethod::kNoAuxTc;
  int64_t tokens = 0, experts = 0, top_k = 0, groups = 1, top_groups = 1;
  bool normalise = true;         // weights divided by their sum (best first) + 1e-20
  double scaling = 1;            // routed_scaling_factor
  const void* logits = nullptr;  // [tokens, experts]
  const float* bias = nullptr;   // [experts] e_score_correction_bias, for selection only (kNoAuxTc); may be null
  void* scores = nullptr;        // [tokens, experts] output
  int32_t* chosen = nullptr;     // [tokens, top_k] output, best first; ties: the lower expert first
  void* weights = nullptr;       // [tokens, top_k] output
};
// dlogits is added to. dweights may be null; dscores is an extra gradient on the scores (balance loss), may be null.
struct RouterBackwardArgs {
  RouterArgs forward;
  const void* dweights = nullptr;
  const void* dscores = nullptr;
  void* dlogits = nullptr;
};
// Sorts (token, slot) pairs by expert, keeping token order within an expert.
struct DispatchArgs {
  int64_t tokens = 0, experts = 0, top_k = 0;
  const int32_t* chosen = nullptr;  // [tokens, top_k]
  int32_t* group_start = nullptr;   // [experts + 1] output
  int32_t* row_token = nullptr;     // [tokens · top_k] output: token of each sorted row
  int32_t* slot_row = nullptr;      // [tokens, top_k] output: sorted row of each slot
};
// y[t] = base[t] + chain over slots k ascending of weights[t,k] · x[slot_row[t,k]]; base null: from zero.
struct CombineArgs {
  DType dtype = DType::kF32;
  int64_t tokens = 0, top_k = 0, columns = 0;
  const int32_t* slot_row = nullptr;
  const void* weights = nullptr;  // [tokens, top_k]
  const void* x = nullptr;        // [tokens · top_k, columns] contiguous
  const void* base = nullptr;     // [tokens, columns] contiguous
  void* y = nullptr;              // [tokens, columns] contiguous
};
// dx[slot_row[t,k]] += weights[t,k] · dy[t];  dweights[t,k] += dy[t] · x[slot_row[t,k]] (16-lane tree).
struct CombineBackwardArgs {
  CombineArgs forward;
  const void* dy = nullptr;  // [tokens, columns] contiguous
  void* dx = nullptr;
  void* dweights = nullptr;
};

// ---- logprob
// --------------------------------------------------------------------------------------------------------- Per row of
// logits z (scaled by inverse_temperature): lse = max + log Σ exp(z - max), logprob = z[target] - lse, entropy = log Σ
// exp(z - max) - Σ exp(z - max) (z - max) / Σ exp(z - max), which is lse - Σ softmax(z) z without its cancellation.
// Target -1: logprob is 0.
struct LogSoftmaxArgs {
  DType dtype = DType::kF32;
  int64_t rows = 0, columns = 0;
  const void* logits = nullptr;
  int64_t logits_stride = 0;
  double inverse_temperature = 1;
  const int32_t* targets = nullptr;  // [rows]
  void* logprob = nullptr;           // [rows] output
  void* lse = nullptr;               // [rows] output
  void* entropy = nullptr;           // [rows] output, null: not wanted
};
// logits are overwritten by their gradient: dlogprob · inverse_temperature · (onehot(target) - softmax). Rows with
// target -1 become zero.
struct LogSoftmaxBackwardArgs {
  DType dtype = DType::kF32;
  int64_t rows = 0, columns = 0;
  void* logits = nullptr;
  int64_t logits_stride = 0;
  double inverse_temperature = 1;
  const int32_t* targets = nullptr;
  const void* lse = nullptr;
  const void* dlogprob = nullptr;  // [rows]
};

// ---- update
// ---------------------------------------------------------------------------------------------------------- Optimizer
// updates are in place, on float32 masters (float64 on the reference machine in tests). AdamW (Loshchilov & Hutter
// 2019): g = gradient · gradient_scale; m = β1 m + (1-β1) g; v = β2 v + (1-β2) g²; p -= lr · ( (m / (1-β1^t)) / (sqrt(v
// / (1-β2^t)) + ε) + weight_decay · p ).
struct AdamWArgs {
  DType dtype = DType::kF32;
  int64_t elements = 0;
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* first = nullptr;
  void* second = nullptr;
  double gradient_scale = 1, lr = 0, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, weight_decay = 0;
  double correction1 = 1, correction2 = 1;  // 1 - β^t
};
// Muon in Moonlight's form (arXiv 2502.16982, §2.2), for many matrices at once; each is orthogonalised by itself.
//   g = gradient · gradient_scale; M = μ M + g; U = g + μ M; X = U / (‖U‖_F + 1e-7), transposed if rows > columns;
//   `iterations` times: A = X Xᵀ, X = a X + (b A + c A²) X, with (a, b, c) = (3.4445, -4.7750, 2.0315);
//   p -= lr · ( rms_factor · sqrt(max(rows, columns)) · X + weight_decay · p ).
struct MuonMatrix {
  void* parameter = nullptr;
  const void* gradient = nullptr;
  void* momentum = nullptr;
  int64_t rows = 0, columns = 0;  // contiguous
};
struct MuonArgs {
  DType dtype = DType::kF32;
  int64_t matrices = 0;
  const MuonMatrix* list = nullptr;
  double gradient_scale = 1, lr = 0, momentum = 0.95, weight_decay = 0, rms_factor = 0.2;
  int64_t iterations = 5;
};
// result = Σ x² : blocks of 4096 elements by the 16-lane tree in `dtype`, block sums added in order in double.
struct SumOfSquaresArgs {
  DType dtype = DType::kF32;
  int64_t elements = 0;
  const void* x = nullptr;
  double result = 0;  // output
};

}  // namespace sputnik
