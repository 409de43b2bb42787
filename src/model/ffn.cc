#include "model/ffn.h"

#include "op/linear.h"
#include "op/pointwise.h"

namespace sputnik {

Tensor Ffn(Pass& pass, const FfnWeights& weights, const Tensor& x) {
  return Linear(pass, Swiglu(pass, Linear(pass, x, weights.gate_up)), weights.down);
}

}  // namespace sputnik
