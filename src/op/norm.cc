#include "op/norm.h"

namespace sputnik {

Tensor RmsNorm(Pass& pass, const Tensor& x, const Tensor& gain, double epsilon, Tensor out) {
  CHECK_EQ(x.rank(), 2);
  CHECK_EQ(gain.size(0), x.size(1));
  const Tensor y = out.defined() ? out : pass.New(x.dtype(), {x.size(0), x.size(1)});
  CHECK_EQ(y.size(0), x.size(0));
  CHECK_EQ(y.size(1), x.size(1));
  const RmsNormArgs args{.dtype = x.dtype(),
                         .rows = x.size(0),
                         .columns = x.size(1),
                         .x = x.data(),
                         .x_stride = x.stride(0),
                         .gain = gain.data(),
                         .epsilon = epsilon,
                         .y = y.data(),
                         .y_stride = y.stride(0),
                         .inv_rms = pass.arena.Allocate(x.size(0) * SizeOf(x.dtype()))};
  pass.kernels.rms_norm(args, pass.pool);
  pass.Backward([&kernels = pass.kernels, &pool = pass.pool, &arena = pass.arena, args, x, gain, y] {
    const Tensor dy = y.Gradient(arena), dx = x.Gradient(arena);
    kernels.rms_norm_backward({.forward = args,
                               .dy = dy.data(),
                               .dy_stride = dy.stride(0),
                               .dx = dx.data(),
                               .dx_stride = dx.stride(0),
                               .dgain = gain.has_gradient() ? gain.Gradient(arena).data() : nullptr},
                              pool);
  });
  return y;
}

}  // namespace sputnik
