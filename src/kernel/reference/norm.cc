#include "kernel/reference/norm.h"

#include <cmath>

#include "kernel/reference/elementary.h"

namespace sputnik::reference {
namespace {

template <class T>
void Forward(const RmsNormArgs& a) {
  const T* gain = static_cast<const T*>(a.gain);
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* x = static_cast<const T*>(a.x) + r * a.x_stride;
    T* y = static_cast<T*>(a.y) + r * a.y_stride;
    LaneSum<T> squares;
    for (int64_t c = 0; c < a.columns; ++c) squares.AddProduct(x[c], x[c]);
    const T mean = squares.Total() / static_cast<T>(a.columns);
    const T inverse = T(1) / std::sqrt(mean + static_cast<T>(a.epsilon));
    static_cast<T*>(a.inv_rms)[r] = inverse;
    for (int64_t c = 0; c < a.columns; ++c) y[c] = (x[c] * inverse) * gain[c];
  }
}

template <class T>
void Backward(const RmsNormBackwardArgs& a) {
  const RmsNormArgs& f = a.forward;
  const T* gain = static_cast<const T*>(f.gain);
  for (int64_t r = 0; r < f.rows; ++r) {
    const T* x = static_cast<const T*>(f.x) + r * f.x_stride;
    const T* dy = static_cast<const T*>(a.dy) + r * a.dy_stride;
    T* dx = static_cast<T*>(a.dx) + r * a.dx_stride;
    const T inverse = static_cast<const T*>(f.inv_rms)[r];
    LaneSum<T> dot;
    for (int64_t c = 0; c < f.columns; ++c) dot.AddProduct(dy[c] * gain[c], x[c]);
    const T mean = (dot.Total() * inverse) / static_cast<T>(f.columns);
    for (int64_t c = 0; c < f.columns; ++c) {
      const T inner = std::fma(-(x[c] * inverse), mean, dy[c] * gain[c]);
      dx[c] = std::fma(inverse, inner, dx[c]);
    }
  }
  if (a.dgain == nullptr) return;
  T* dgain = static_cast<T*>(a.dgain);
  for (int64_t r = 0; r < f.rows; ++r) {
    const T* x = static_cast<const T*>(f.x) + r * f.x_stride;
    const T* dy = static_cast<const T*>(a.dy) + r * a.dy_stride;
    const T inverse = static_cast<const T*>(f.inv_rms)[r];
    for (int64_t c = 0; c < f.columns; ++c) dgain[c] = std::fma(dy[c], x[c] * inverse, dgain[c]);
  }
}

}  // namespace

void RmsNorm(const RmsNormArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) { Forward<decltype(t)>(args); });
}

void RmsNormBackward(const RmsNormBackwardArgs& args, ThreadPool&) {
  WithNumber(args.forward.dtype, [&](auto t) { Backward<decltype(t)>(args); });
}

}  // namespace sputnik::reference
