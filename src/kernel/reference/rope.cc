#include "kernel/reference/rope.h"

#include <cmath>

#include "kernel/reference/elementary.h"

namespace sputnik::reference {
namespace {

template <class T>
void Rotate(const RopeArgs& a) {
  for (int64_t t = 0; t < a.tokens; ++t) {
    const T* angle = static_cast<const T*>(a.table) + a.positions[t] * a.dim;
    for (int64_t h = 0; h < a.heads; ++h) {
      const T* x = static_cast<const T*>(a.x) + t * a.x_stride + h * a.x_head_stride;
      T* y = static_cast<T*>(a.y) + t * a.y_stride + h * a.y_head_stride;
      for (int64_t i = 0; i < a.dim; i += 2) {
        const T cosine = angle[i];
        const T sine = a.inverse ? -angle[i + 1] : angle[i + 1];
        const T first = std::fma(x[i], cosine, -(x[i + 1] * sine));
        const T second = std::fma(x[i + 1], cosine, x[i] * sine);
        y[i] = a.accumulate ? y[i] + first : first;
        y[i + 1] = a.accumulate ? y[i + 1] + second : second;
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
