#include "model/gqa.h"

#include "op/linear.h"
#include "op/norm.h"
#include "op/pointwise.h"
#include "op/rope.h"

namespace sputnik {
namespace {

// x · wᵀ + bias, seen as heads.
Tensor ProjectHeads(Pass& pass, const Tensor& x, const Projection& weight, const Tensor& bias, int64_t width) {
  const Tensor y = Linear(pass, x, weight);
  if (bias.defined()) AddBiasInPlace(pass, y, bias);
  return y.View({x.size(0), weight.outputs() / width, width});
}

// Queries or keys: projected, each head normed, rotated.
Tensor RotatedHeads(Pass& pass, const ModelConfig& c, const Tensor& x, const Projection& weight, const Tensor& bias,
                    const Tensor& norm, const ForwardContext& context) {
  Tensor heads = ProjectHeads(pass, x, weight, bias, c.qk_head_dim());
  if (norm.defined()) {
    const int64_t tokens = heads.size(0), count = heads.size(1), width = heads.size(2);
    const Tensor rows = RmsNorm(pass, heads.View({tokens * count, width}), norm, c.rms_norm_eps);
    heads = rows.View({tokens, count, width});
  }
  if (context.positions != nullptr) {
    RopeInPlace(pass, heads, context.rotary, context.positions, RopeLayout::kHalves);
  }
  return heads;
}

}  // namespace

Tensor Gqa(Pass& pass, const ModelConfig& c, const GqaWeights& w, const ForwardContext& context, int64_t layer,
           const Tensor& x) {
  const int64_t tokens = x.size(0), width = c.qk_head_dim(), key_heads = c.key_heads(), key_width = key_heads * width;
  const Tensor q = RotatedHeads(pass, c, x, w.q, w.q_bias, w.q_norm, context);
  Tensor k = RotatedHeads(pass, c, x, w.k, w.k_bias, w.k_norm, context);
  Tensor v = ProjectHeads(pass, x, w.v, w.v_bias, width);
  if (context.cache != nullptr) {
    const Tensor& pages = context.cache->layer(layer);
    const Tensor page_keys = pages.Slice(1, 0, key_width), page_values = pages.Slice(1, key_width, key_width);
    StoreRows(pass, k.View({tokens, key_width}), context.cache_rows, page_keys);
    StoreRows(pass, v.View({tokens, key_width}), context.cache_rows, page_values);
    k = page_keys.SplitLast(key_heads, width);
    v = page_values.SplitLast(key_heads, width);
  }
  const Tensor o = Attention(pass, q, k, v, context.layout, c.SoftmaxScale());
  const Tensor y = Linear(pass, o.View({tokens, c.num_attention_heads * width}), w.o);
  if (w.o_bias.defined()) AddBiasInPlace(pass, y, w.o_bias);
  return y;
}

}  // namespace sputnik
