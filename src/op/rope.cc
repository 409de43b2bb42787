#include "op/rope.h"

namespace sputnik {
namespace {

RopeArgs ArgsFor(const Tensor& x, const Tensor& table, const int32_t* positions, RopeLayout layout, bool inverse) {
  return {.dtype = x.dtype(),
          .layout = layout,
          .tokens = x.size(0),
          .heads = x.size(1),
          .dim = x.size(2),
          .x = x.data(),
          .x_stride = x.stride(0),
          .x_head_stride = x.stride(1),
          .y = x.data(),
          .y_stride = x.stride(0),
          .y_head_stride = x.stride(1),
          .table = table.data(),
          .positions = positions,
          .inverse = inverse};
}

}  // namespace

void RopeInPlace(Pass& pass, const Tensor& x, const Tensor& table, const int32_t* positions, RopeLayout layout) {
  CHECK_EQ(x.rank(), 3);
  CHECK_EQ(x.size(2), table.size(1));
  CHECK(table.dtype() == x.dtype());
  pass.kernels.rope(ArgsFor(x, table, positions, layout, false), pass.pool);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, x, table, positions, layout] {
    // A rotation's transpose is its inverse, so the gradient is turned back where it lies.
    kernels.rope(ArgsFor(x.Gradient(arena), table, positions, layout, true), pool);
  });
}

}  // namespace sputnik
