#include "kernel/reference/linear.h"

#include <cmath>

#include "kernel/reference/elementary.h"

namespace sputnik::reference {
namespace {

template <class T>
T Widen(T x) {
  return x;
}
[[maybe_unused]] double Widen(uint16_t bits) { return static_cast<double>(FloatFromBF16(bits)); }

template <class F>
void WithTypes(DType dtype, DType weight_dtype, F&& f) {
  WithNumber(dtype, [&](auto number) {
    if (weight_dtype == DType::kBF16) {
      f(number, uint16_t{});
    } else {
      CHECK(weight_dtype == dtype);
      f(number, number);
    }
  });
}

template <class T, class W>
void Forward(const LinearArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  const W* w = static_cast<const W*>(a.w);
  T* y = static_cast<T*>(a.y);
  for (int64_t r = 0; r < a.rows; ++r) {
    for (int64_t o = 0; o < a.outputs; ++o) {
      T& out = y[r * a.y_stride + o];
      T sum = a.accumulate ? out : T(0);
      for (int64_t i = 0; i < a.inputs; ++i) {
        sum = std::fma(x[r * a.x_stride + i], static_cast<T>(Widen(w[o * a.w_stride + i])), sum);
      }
      out = sum;
    }
  }
}

template <class T, class W>
void BackwardInput(const LinearArgs& a) {
  T* x = static_cast<T*>(a.x);
  const W* w = static_cast<const W*>(a.w);
  const T* y = static_cast<const T*>(a.y);
  for (int64_t r = 0; r < a.rows; ++r) {
    for (int64_t i = 0; i < a.inputs; ++i) {
      T& out = x[r * a.x_stride + i];
      T sum = a.accumulate ? out : T(0);
      for (int64_t o = 0; o < a.outputs; ++o) {
        sum = std::fma(y[r * a.y_stride + o], static_cast<T>(Widen(w[o * a.w_stride + i])), sum);
      }
      out = sum;
    }
  }
}

template <class T>
void BackwardWeight(const LinearArgs& a) {
  const T* x = static_cast<const T*>(a.x);
  T* w = static_cast<T*>(a.w);
  const T* y = static_cast<const T*>(a.y);
  for (int64_t o = 0; o < a.outputs; ++o) {
    for (int64_t i = 0; i < a.inputs; ++i) {
      T& out = w[o * a.w_stride + i];
      T sum = a.accumulate ? out : T(0);
      for (int64_t r = 0; r < a.rows; ++r) sum = std::fma(y[r * a.y_stride + o], x[r * a.x_stride + i], sum);
      out = sum;
    }
  }
}

template <class F>
void ForEachGroup(const GroupedLinearArgs& a, F&& f) {
  const int64_t size = SizeOf(a.dtype);
  for (int64_t g = 0; g < a.groups; ++g) {
    LinearArgs one;
    one.dtype = a.dtype;
    one.weight_dtype = a.weight_dtype;
    one.rows = a.group_start[g + 1] - a.group_start[g];
    one.outputs = a.outputs;
    one.inputs = a.inputs;
    one.x = static_cast<char*>(a.x) + a.group_start[g] * a.x_stride * size;
    one.x_stride = a.x_stride;
    one.w = a.w[g];
    one.w_stride = a.w_stride;
    one.y = static_cast<char*>(a.y) + a.group_start[g] * a.y_stride * size;
    one.y_stride = a.y_stride;
    one.accumulate = a.accumulate;
    f(one);
  }
}

}  // namespace

void Linear(const LinearArgs& args, ThreadPool&) {
  WithTypes(args.dtype, args.weight_dtype, [&](auto t, auto w) { Forward<decltype(t), decltype(w)>(args); });
}

void LinearBackwardInput(const LinearArgs& args, ThreadPool&) {
  WithTypes(args.dtype, args.weight_dtype, [&](auto t, auto w) { BackwardInput<decltype(t), decltype(w)>(args); });
}

void LinearBackwardWeight(const LinearArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) { BackwardWeight<decltype(t)>(args); });
}

void GroupedLinear(const GroupedLinearArgs& args, ThreadPool& pool) {
  ForEachGroup(args, [&](const LinearArgs& one) { Linear(one, pool); });
}

void GroupedLinearBackwardInput(const GroupedLinearArgs& args, ThreadPool& pool) {
  ForEachGroup(args, [&](const LinearArgs& one) { LinearBackwardInput(one, pool); });
}

void GroupedLinearBackwardWeight(const GroupedLinearArgs& args, ThreadPool& pool) {
  ForEachGroup(args, [&](const LinearArgs& one) { LinearBackwardWeight(one, pool); });
}

}  // namespace sputnik::reference
