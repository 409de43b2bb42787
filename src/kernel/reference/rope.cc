#include "kernel/reference/rope.h"

#include <cmath>

#include "kernel/reference/elementary.h"

namespace sputnik::reference {
namespace {

template <class T>
void Rotate(const RopeArgs& a) {
  const bool halves = a.layout == RopeLayout::kHalves;
  const int64_t pairs = a.dim / 2, step = halves ? 1 : 2, partner = halves ? pairs : 1;
  for (int64_t t = 0; t < a.tokens; ++t) {
    const T* angle = static_cast<const T*>(a.table) + a.positions[t] * a.dim;
    for (int64_t h = 0; h < a.heads; ++h) {
      const T* x = static_cast<const T*>(a.x) + t * a.x_stride + h * a.x_head_stride;
      T* y = static_cast<T*>(a.y) + t * a.y_stride + h * a.y_head_stride;
      for (int64_t pair = 0; pair < pairs; ++pair) {
        const int64_t i = pair * step, j = i + partner;
        const T cosine = angle[i];
        const T sine = a.inverse ? -angle[j] : angle[j];
        const T first = std::fma(x[i], cosine, -(x[j] * sine));
        const T second = std::fma(x[j], cosine, x[i] * sine);
        y[i] = a.accumulate ? y[i] + first : first;
        y[j] = a.accumulate ? y[j] + second : second;
      }
    }
  }
}

}  // namespace

void Rope(const RopeArgs& args, ThreadPool&) {
  CHECK_EQ(args.dim % 2, 0);
  WithNumber(args.dtype, [&](auto t) { Rotate<decltype(t)>(args); });
}

}  // namespace sputnik::reference
