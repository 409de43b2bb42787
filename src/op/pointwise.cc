#include "op/pointwise.h"

#include <algorithm>

namespace sputnik {
namespace {

void AddTo(const Kernels& kernels, ThreadPool& pool, const Tensor& from, const Tensor& to) {
  kernels.add_to({.dtype = from.dtype(),
                  .rows = from.size(0),
                  .columns = from.size(1),
                  .a = from.data(),
                  .a_stride = from.stride(0),
                  .y = to.data(),
                  .y_stride = to.stride(0)},
                 pool);
}

GatherArgs GatherRows(const Tensor& x, const int32_t* index, const Tensor& y) {
  return {.dtype = y.dtype(),
          .table_dtype = x.dtype(),
          .rows = y.size(0),
          .columns = y.size(1),
          .x = x.data(),
          .x_stride = x.stride(0),
          .index = index,
          .y = y.data(),
          .y_stride = y.stride(0)};
}

}  // namespace

Tensor Add(Pass& pass, const Tensor& a, const Tensor& b) {
  CHECK_EQ(a.size(0), b.size(0));
  CHECK_EQ(a.size(1), b.size(1));
  Tensor y = pass.New(a.dtype(), {a.size(0), a.size(1)});
  pass.kernels.add({.dtype = a.dtype(),
                    .rows = a.size(0),
                    .columns = a.size(1),
                    .a = a.data(),
                    .a_stride = a.stride(0),
                    .b = b.data(),
                    .b_stride = b.stride(0),
                    .y = y.data(),
                    .y_stride = y.stride(0)},
                   pass.pool);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, a, b, y] {
    const Tensor dy = y.Gradient(arena);
    if (a.has_gradient()) AddTo(kernels, pool, dy, a.Gradient(arena));
    if (b.has_gradient()) AddTo(kernels, pool, dy, b.Gradient(arena));
  });
  return y;
}

void AddBiasInPlace(Pass& pass, const Tensor& y, const Tensor& bias) {
  CHECK_EQ(y.rank(), 2);
  CHECK_EQ(bias.elements(), y.size(1));
  CHECK(bias.dtype() == y.dtype());
  pass.kernels.add({.dtype = y.dtype(),
                    .rows = y.size(0),
                    .columns = y.size(1),
                    .a = y.data(),
                    .a_stride = y.stride(0),
                    .b = bias.data(),
                    .b_stride = 0,
                    .y = y.data(),
                    .y_stride = y.stride(0)},
                   pass.pool);
  if (!pass.recording() || !bias.has_gradient()) return;
  // The gradient of y lies where it already is; the bias's is the sum of its rows: all scattered to one.
  int32_t* one_row = pass.arena.New<int32_t>(y.size(0));
  std::fill_n(one_row, y.size(0), 0);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, y, bias, one_row] {
    const Tensor sum = bias.Gradient(arena).View({1, bias.elements()});
    kernels.scatter_add(GatherRows(sum, one_row, y.Gradient(arena)), pool);
  });
}

Tensor Swiglu(Pass& pass, const Tensor& gate_up) {
  const int64_t rows = gate_up.size(0), width = gate_up.size(1) / 2;
  CHECK_EQ(2 * width, gate_up.size(1));
  Tensor y = pass.New(gate_up.dtype(), {rows, width});
  const Tensor gate = gate_up.Slice(1, 0, width), up = gate_up.Slice(1, width, width);
  const SwigluArgs args{.dtype = y.dtype(),
                        .rows = rows,
                        .columns = width,
                        .gate = gate.data(),
                        .up = up.data(),
                        .in_stride = gate_up.stride(0),
                        .y = y.data(),
                        .y_stride = y.stride(0)};
  pass.kernels.swiglu(args, pass.pool);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, args, gate, up, y] {
    const Tensor dy = y.Gradient(arena), dgate = gate.Gradient(arena), dup = up.Gradient(arena);
    kernels.swiglu_backward({.forward = args,
                             .dy = dy.data(),
                             .dy_stride = dy.stride(0),
                             .dgate = dgate.data(),
                             .dup = dup.data(),
                             .din_stride = dgate.stride(0)},
                            pool);
  });
  return y;
}

Tensor Gather(Pass& pass, const Tensor& x, const int32_t* index, int64_t rows) {
  Tensor y = pass.New(x.dtype() == DType::kBF16 ? DType::kF32 : x.dtype(), {rows, x.size(1)});
  pass.kernels.gather(GatherRows(x, index, y), pass.pool);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, x, index, y] {
    if (x.has_gradient()) kernels.scatter_add(GatherRows(x.Gradient(arena), index, y.Gradient(arena)), pool);
  });
  return y;
}

Tensor JoinKeys(Pass& pass, const Tensor& k_nope, const Tensor& k_rope) {
  const int64_t tokens = k_nope.size(0), heads = k_nope.size(1), nope = k_nope.size(2), rope = k_rope.size(1);
  const int64_t width = nope + rope, rows = tokens * heads;
  CHECK_EQ(k_nope.stride(0), heads * k_nope.stride(1));  // so that (token, head) pairs are evenly spaced rows
  Tensor k = pass.New(k_nope.dtype(), {tokens, heads, width});
  const DType dtype = k.dtype();
  int32_t* token_of_row = pass.arena.New<int32_t>(rows);
  for (int64_t i = 0; i < rows; ++i) token_of_row[i] = static_cast<int32_t>(i / heads);
  pass.kernels.copy({.dtype = dtype,
                     .rows = rows,
                     .columns = nope,
                     .a = k_nope.data(),
                     .a_stride = k_nope.stride(1),
                     .y = k.data(),
                     .y_stride = width},
                    pass.pool);
  const Tensor k_tail = k.Slice(2, nope, rope);
  pass.kernels.gather({.dtype = dtype,
                       .table_dtype = dtype,
                       .rows = rows,
                       .columns = rope,
                       .x = k_rope.data(),
                       .x_stride = k_rope.stride(0),
                       .index = token_of_row,
                       .y = k_tail.data(),
                       .y_stride = width},
                      pass.pool);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, k_nope, k_rope, k, k_tail, rows, nope,
                 rope, width, token_of_row, dtype] {
    const Tensor dk_nope = k_nope.Gradient(arena), dk_rope = k_rope.Gradient(arena);
    kernels.add_to({.dtype = dtype,
                    .rows = rows,
                    .columns = nope,
                    .a = k.Gradient(arena).data(),
                    .a_stride = width,
                    .y = dk_nope.data(),
                    .y_stride = dk_nope.stride(1)},
                   pool);
    kernels.scatter_add({.dtype = dtype,
                         .table_dtype = dtype,
                         .rows = rows,
                         .columns = rope,
                         .x = dk_rope.data(),
                         .x_stride = dk_rope.stride(0),
                         .index = token_of_row,
                         .y = k_tail.Gradient(arena).data(),
                         .y_stride = width},
                        pool);
  });
  return k;
}

void CopyHeads(Pass& pass, const Tensor& from, const Tensor& to) {
  CHECK(!pass.recording());
  for (int64_t h = 0; h < from.size(1); ++h) {
    pass.kernels.copy({.dtype = from.dtype(),
                       .rows = from.size(0),
                       .columns = from.size(2),
                       .a = from.Slice(1, h, 1).data(),
                       .a_stride = from.stride(0),
                       .y = to.Slice(1, h, 1).data(),
                       .y_stride = to.stride(0)},
                      pass.pool);
  }
}

void StoreRows(Pass& pass, const Tensor& y, const int32_t* index, const Tensor& x) {
  CHECK(!pass.recording());
  CHECK_EQ(x.size(1), y.size(1));
  pass.kernels.scatter(GatherRows(x, index, y), pass.pool);
}

}  // namespace sputnik
