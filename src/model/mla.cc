#include "model/mla.h"

#include "op/linear.h"
#include "op/norm.h"
#include "op/pointwise.h"
#include "op/rope.h"

namespace sputnik {
namespace {

// The norms of the two latents: published modelling code and transformers leave rms_norm_eps out of these two.
constexpr double kLatentEpsilon = 1e-6;

struct Projected {
  Tensor q;       // [N, H, d_n + d_r], the rotary part rotated
  Tensor latent;  // [N, d_c], normed
  Tensor k_rope;  // [N, d_r], rotated
};

Projected Project(Pass& pass, const ModelConfig& c, const MlaWeights& w, const ForwardContext& context,
                  const Tensor& x) {
  const int64_t heads = c.num_attention_heads, q_width = heads * c.qk_head_dim();
  const int64_t first = c.q_lora_rank > 0 ? c.q_lora_rank : q_width;
  const Tensor both = Linear(pass, x, w.input_projection);
  Projected p;
  Tensor q = both.Slice(1, 0, first);
  if (c.q_lora_rank > 0) q = Linear(pass, RmsNorm(pass, q, w.q_a_norm, kLatentEpsilon), w.q_b);
  p.q = q.SplitLast(heads, c.qk_head_dim());
  p.latent = RmsNorm(pass, both.Slice(1, first, c.kv_lora_rank), w.kv_a_norm, kLatentEpsilon);
  p.k_rope = both.Slice(1, first + c.kv_lora_rank, c.qk_rope_head_dim);
  if (context.positions != nullptr) {
    const RopeLayout layout = c.RotatesHalves() ? RopeLayout::kHalves : RopeLayout::kInterleaved;
    RopeInPlace(pass, p.q.Slice(2, c.qk_nope_head_dim, c.qk_rope_head_dim), context.rotary, context.positions, layout);
    RopeInPlace(pass, p.k_rope.SplitLast(1, c.qk_rope_head_dim), context.rotary, context.positions, layout);
  }
  return p;
}

Tensor Expanded(Pass& pass, const ModelConfig& c, const MlaWeights& w, const ForwardContext& context, int64_t layer,
                const Projected& p) {
  const int64_t heads = c.num_attention_heads, tokens = p.q.size(0), key = c.qk_head_dim(), value = c.v_head_dim;
  const Tensor kv = Linear(pass, p.latent, w.kv_b).SplitLast(heads, c.qk_nope_head_dim + value);
  Tensor k = JoinKeys(pass, kv.Slice(2, 0, c.qk_nope_head_dim), p.k_rope);
  Tensor v = kv.Slice(2, c.qk_nope_head_dim, value);
  if (context.cache != nullptr) {
    const Tensor& pages = context.cache->layer(layer);
    const Tensor page_keys = pages.Slice(1, 0, heads * key), page_values = pages.Slice(1, heads * key, heads * value);
    StoreRows(pass, k.View({tokens, heads * key}), context.cache_rows, page_keys);
    const Tensor values = pass.New(v.dtype(), {tokens, heads, value});
    CopyHeads(pass, v, values);
    StoreRows(pass, values.View({tokens, heads * value}), context.cache_rows, page_values);
    k = page_keys.SplitLast(heads, key);
    v = page_values.SplitLast(heads, value);
  }
  return Attention(pass, p.q, k, v, context.layout, c.SoftmaxScale());
}

Tensor Absorbed(Pass& pass, const ModelConfig& c, const MlaWeights& w, const ForwardContext& context, int64_t layer,
                const Projected& p) {
  const int64_t heads = c.num_attention_heads, tokens = p.q.size(0), nope = c.qk_nope_head_dim,
                rope = c.qk_rope_head_dim;
  const int64_t rank = c.kv_lora_rank;
  const Tensor& pages = context.cache->layer(layer);
  StoreRows(pass, p.latent, context.cache_rows, pages.Slice(1, 0, rank));
  StoreRows(pass, p.k_rope, context.cache_rows, pages.Slice(1, rank, rope));
  const Tensor up = w.kv_b.parts[0].View({heads, nope + c.v_head_dim, rank});  // per head [U_k; U_v]
  const Tensor q = pass.New(p.q.dtype(), {tokens, heads, rank + rope});
  HeadwiseDown(pass, p.q.Slice(2, 0, nope), up.Slice(1, 0, nope), q.Slice(2, 0, rank));
  for (const Projection::Addition& addition : w.kv_b.additions) {
    AddLowRankDown(pass, p.q.Slice(2, 0, nope), addition.w, 0, q.Slice(2, 0, rank));
  }
  CopyHeads(pass, p.q.Slice(2, nope, rope), q.Slice(2, rank, rope));
  const Tensor k = pages.SplitLast(1, rank + rope);
  const Tensor mixed = Attention(pass, q, k, k.Slice(2, 0, rank), context.layout, c.SoftmaxScale());
  const Tensor o = pass.New(q.dtype(), {tokens, heads, c.v_head_dim});
  HeadwiseUp(pass, mixed, up.Slice(1, nope, c.v_head_dim), o);
  for (const Projection::Addition& addition : w.kv_b.additions) AddLowRankUp(pass, mixed, addition.w, nope, o);
  return o;
}

}  // namespace

Tensor Mla(Pass& pass, const ModelConfig& c, const MlaWeights& w, const ForwardContext& context, int64_t layer,
           const Tensor& x) {
  const Projected p = Project(pass, c, w, context, x);
  const bool absorbed = context.cache != nullptr && context.cache->form() == AttentionForm::kAbsorbed;
  const Tensor o = absorbed ? Absorbed(pass, c, w, context, layer, p) : Expanded(pass, c, w, context, layer, p);
  return Linear(pass, o.View({x.size(0), c.num_attention_heads * c.v_head_dim}), w.o);
}

}  // namespace sputnik
