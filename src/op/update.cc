#include "op/update.h"

#include "base/elementary.h"

namespace sputnik {

void AdamWUpdate(const Machine& machine, const AdamWOptions& options, int64_t t, double gradient_scale,
                 const Tensor& parameter, const Tensor& gradient, const Tensor& first, const Tensor& second) {
  CHECK(parameter.contiguous() && gradient.contiguous() && first.contiguous() && second.contiguous());
  CHECK_GE(t, 1);
  machine.kernels.adamw({.dtype = parameter.dtype(),
                         .elements = parameter.elements(),
                         .parameter = parameter.data(),
                         .gradient = gradient.data(),
                         .first = first.data(),
                         .second = second.data(),
                         .gradient_scale = gradient_scale,
                         .lr = options.lr,
                         .beta1 = options.beta1,
                         .beta2 = options.beta2,
                         .epsilon = options.epsilon,
                         .weight_decay = options.weight_decay,
                         .correction1 = 1 - Pow(options.beta1, static_cast<double>(t)),
                         .correction2 = 1 - Pow(options.beta2, static_cast<double>(t))},
                        machine.pool);
}

void MuonUpdate(const Machine& machine, const MuonOptions& options, double gradient_scale, DType dtype,
                std::span<const MuonMatrix> matrices) {
  machine.kernels.muon({.dtype = dtype,
                        .matrices = static_cast<int64_t>(matrices.size()),
                        .list = matrices.data(),
                        .gradient_scale = gradient_scale,
                        .lr = options.lr,
                        .momentum = options.momentum,
                        .weight_decay = options.weight_decay,
                        .rms_factor = options.rms_factor,
                        .iterations = options.iterations},
                       machine.pool);
}

double SumOfSquares(const Machine& machine, const Tensor& x) {
  CHECK(x.contiguous());
  SumOfSquaresArgs args{.dtype = x.dtype(), .elements = x.elements(), .x = x.data()};
  machine.kernels.sum_of_squares(args, machine.pool);
  return args.result;
}

}  // namespace sputnik
