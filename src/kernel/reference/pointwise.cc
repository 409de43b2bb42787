#include "kernel/reference/pointwise.h"

#include <cmath>
#include <cstring>

#include "kernel/reference/elementary.h"

namespace sputnik::reference {
namespace {

template <class T, class F>
void ForEachElement(const AddArgs& args, F&& f) {
  for (int64_t r = 0; r < args.rows; ++r) {
    for (int64_t c = 0; c < args.columns; ++c) {
      T& y = static_cast<T*>(args.y)[r * args.y_stride + c];
      f(y, static_cast<const T*>(args.a)[r * args.a_stride + c], r, c);
    }
  }
}

template <class T>
void SwigluForward(const SwigluArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* gate = static_cast<const T*>(a.gate) + r * a.in_stride;
    const T* up = static_cast<const T*>(a.up) + r * a.in_stride;
    T* y = static_cast<T*>(a.y) + r * a.y_stride;
    for (int64_t c = 0; c < a.columns; ++c) y[c] = (gate[c] / (T(1) + Exp(-gate[c]))) * up[c];
  }
}

template <class T>
void SwigluGradient(const SwigluBackwardArgs& a) {
  const SwigluArgs& f = a.forward;
  for (int64_t r = 0; r < f.rows; ++r) {
    const T* gate = static_cast<const T*>(f.gate) + r * f.in_stride;
    const T* up = static_cast<const T*>(f.up) + r * f.in_stride;
    const T* dy = static_cast<const T*>(a.dy) + r * a.dy_stride;
    T* dgate = static_cast<T*>(a.dgate) + r * a.din_stride;
    T* dup = static_cast<T*>(a.dup) + r * a.din_stride;
    for (int64_t c = 0; c < f.columns; ++c) {
      const T sigmoid = T(1) / (T(1) + Exp(-gate[c]));
      const T slope = std::fma(gate[c], T(1) - sigmoid, T(1));  // d silu = sigmoid · slope
      dup[c] = std::fma(dy[c], gate[c] * sigmoid, dup[c]);
      dgate[c] = std::fma((dy[c] * up[c]) * sigmoid, slope, dgate[c]);
    }
  }
}

template <class T, class X>
void GatherRows(const GatherArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    const X* x = static_cast<const X*>(a.x) + a.index[r] * a.x_stride;
    T* y = static_cast<T*>(a.y) + r * a.y_stride;
    for (int64_t c = 0; c < a.columns; ++c) {
      T value;
      if constexpr (std::is_same_v<X, uint16_t>) {
        value = FloatFromBF16(x[c]);
      } else {
        value = x[c];
      }
      y[c] = a.accumulate ? y[c] + value : value;
    }
  }
}

template <class T>
void ScatterRows(const GatherArgs& a) {
  for (int64_t r = 0; r < a.rows; ++r) {
    T* x = static_cast<T*>(a.x) + a.index[r] * a.x_stride;
    const T* y = static_cast<const T*>(a.y) + r * a.y_stride;
    for (int64_t c = 0; c < a.columns; ++c) x[c] += y[c];
  }
}

}  // namespace

void Add(const AddArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) {
    using T = decltype(t);
    const T* b = static_cast<const T*>(args.b);
    ForEachElement<T>(args, [&](T& y, T x, int64_t r, int64_t c) { y = x + b[r * args.b_stride + c]; });
  });
}

void AddTo(const AddArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) {
    using T = decltype(t);
    const T scale = static_cast<T>(args.scale);
    ForEachElement<T>(args, [scale](T& y, T x, int64_t, int64_t) { y = std::fma(scale, x, y); });
  });
}

void Copy(const AddArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) {
    using T = decltype(t);
    ForEachElement<T>(args, [](T& y, T x, int64_t, int64_t) { y = x; });
  });
}

void Swiglu(const SwigluArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) { SwigluForward<decltype(t)>(args); });
}

void SwigluBackward(const SwigluBackwardArgs& args, ThreadPool&) {
  WithNumber(args.forward.dtype, [&](auto t) { SwigluGradient<decltype(t)>(args); });
}

void Gather(const GatherArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) {
    using T = decltype(t);
    if (args.table_dtype == DType::kBF16) {
      GatherRows<T, uint16_t>(args);
    } else {
      CHECK(args.table_dtype == args.dtype);
      GatherRows<T, T>(args);
    }
  });
}

void ScatterAdd(const GatherArgs& args, ThreadPool&) {
  CHECK(args.table_dtype == args.dtype);
  WithNumber(args.dtype, [&](auto t) { ScatterRows<decltype(t)>(args); });
}

void Scatter(const GatherArgs& args, ThreadPool&) {
  CHECK(args.table_dtype == args.dtype);
  const auto bytes = static_cast<size_t>(args.columns * SizeOf(args.dtype));
  const int64_t x_bytes = args.x_stride * SizeOf(args.dtype), y_bytes = args.y_stride * SizeOf(args.dtype);
  for (int64_t i = 0; i < args.rows; ++i) {
    std::memcpy(static_cast<std::byte*>(args.x) + args.index[i] * x_bytes,
                static_cast<const std::byte*>(args.y) + i * y_bytes, bytes);
  }
}

}  // namespace sputnik::reference
