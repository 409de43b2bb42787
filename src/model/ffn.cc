#include "model/ffn.h"

#include "op/linear.h"
#include "op/pointwise.h"

namespace sputnik {

Tensor Ffn(Pass& pass, const FfnWeights& weights, const Tensor& x) {
  const Tensor gate_up = Linear(pass, x, weights.gate_up);
  const bool biased = weights.down_bias.defined();
  if (biased) {
    const int64_t width = weights.gate_bias.elements();
    AddBiasInPlace(pass, gate_up.Slice(1, 0, width), weights.gate_bias);
    AddBiasInPlace(pass, gate_up.Slice(1, width, width), weights.up_bias);
  }
  const Tensor y = Linear(pass, Swiglu(pass, gate_up), weights.down);
  if (biased) AddBiasInPlace(pass, y, weights.down_bias);
  return y;
}

}  // namespace sputnik
