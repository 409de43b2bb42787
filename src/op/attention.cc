#include "op/attention.h"

#include "tensor/batch.h"

namespace sputnik {

Tensor Attention(Pass& pass, const Tensor& q, const Tensor& k, const Tensor& v, const AttentionLayout& layout,
                 double scale) {
  CHECK_EQ(q.rank(), 3);
  CHECK_EQ(q.size(2), k.size(2));
  CHECK_EQ(k.size(1), v.size(1));
  CHECK_EQ(q.size(1) % k.size(1), 0);
  Tensor o = pass.New(q.dtype(), {q.size(0), q.size(1), v.size(2)});
  const AttentionArgs args{
      .dtype = q.dtype(),
      .sequences = layout.sequences,
      .heads = q.size(1),
      .key_heads = k.size(1),
      .key_dim = q.size(2),
      .value_dim = v.size(2),
      .key_block = kKeyBlock,
      .query_start = layout.query_start,
      .key_count = layout.key_count,
      .key_start = layout.key_start,
      .block_table = layout.block_table,
      .block_start = layout.block_start,
      .scale = scale,
      .q = q.data(),
      .q_stride = q.stride(0),
      .q_head_stride = q.stride(1),
      .k = k.data(),
      .k_stride = k.stride(0),
      .k_head_stride = k.stride(1),
      .v = v.data(),
      .v_stride = v.stride(0),
      .v_head_stride = v.stride(1),
      .o = o.data(),
      .o_stride = o.stride(0),
      .o_head_stride = o.stride(1),
      .lse = pass.recording() ? pass.arena.Allocate(q.size(0) * q.size(1) * SizeOf(q.dtype())) : nullptr};
  pass.kernels.attention(args, pass.pool);
  CHECK(!pass.recording() || layout.block_table == nullptr);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, args, q, k, v, o] {
    const Tensor d_o = o.Gradient(arena), dq = q.Gradient(arena), dk = k.Gradient(arena), dv = v.Gradient(arena);
    kernels.attention_backward({.forward = args,
                                .d_o = d_o.data(),
                                .d_o_stride = d_o.stride(0),
                                .d_o_head_stride = d_o.stride(1),
                                .dq = dq.data(),
                                .dq_stride = dq.stride(0),
                                .dq_head_stride = dq.stride(1),
                                .dk = dk.data(),
                                .dk_stride = dk.stride(0),
                                .dk_head_stride = dk.stride(1),
                                .dv = dv.data(),
                                .dv_stride = dv.stride(0),
                                .dv_head_stride = dv.stride(1)},
                               pool);
  });
  return o;
}

}  // namespace sputnik
