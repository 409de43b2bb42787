#include "model/projection.h"

namespace sputnik {

int64_t Projection::outputs() const {
  int64_t sum = 0;
  for (const Tensor& part : parts) sum += part.size(0);
  return sum;
}

Tensor Linear(Pass& pass, const Tensor& x, const Projection& w) {
  const Tensor y = Linear(pass, x, std::span<const Tensor>(w.parts));
  for (const Projection::Addition& addition : w.additions) {
    AddLowRank(pass, x, addition.w, y.Slice(1, addition.first, addition.w.b.size(0)));
  }
  return y;
}

Tensor GroupedLinear(Pass& pass, const Tensor& x, std::span<const int32_t> group_start, const ExpertProjection& w) {
  const Tensor y = GroupedLinear(pass, x, group_start, std::span<const std::vector<Tensor>>(w.parts));
  for (const ExpertProjection::Addition& addition : w.additions) {
    const int64_t outputs = addition.experts[0].b.size(0);
    AddGroupedLowRank(pass, x, group_start, addition.experts, y.Slice(1, addition.first, outputs));
  }
  return y;
}

}  // namespace sputnik
