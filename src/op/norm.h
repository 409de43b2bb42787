// RMSNorm (Zhang & Sennrich 2019): y = gain · x / sqrt(mean(x²) + epsilon), in float32.
#pragma once

#include "op/pass.h"

namespace sputnik {

// x [rows, columns] (rows may be strided), gain [columns]. `out`, if given, receives the result: a view of a wider
// tensor, for results that are to lie side by side.
Tensor RmsNorm(Pass& pass, const Tensor& x, const Tensor& gain, double epsilon, Tensor out = {});

}  // namespace sputnik
