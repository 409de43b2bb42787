#include "kernel/reference/linear.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "base/check.h"

namespace sputnik::reference {
namespace {

// c[m, n] = chain over k of a[m, k] · b[k, n]. Each matrix has a stride for either index. BF16 is held as uint16_t.
template <class T, class Weight>
struct Product {
  int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;
  int64_t a_m = 0, a_k = 0;
  const Weight* b = nullptr;
  int64_t b_k = 0, b_n = 0;
  T* c = nullptr;
  int64_t c_m = 0;
  bool accumulate = false;
};

template <class T, class Weight>
[[gnu::always_inline]] inline T Widen(Weight value) {
  if constexpr (std::is_same_v<Weight, uint16_t>) {
    return static_cast<T>(FloatFromBF16(value));
  } else {
    return value;
  }
}

// One row of c. Columns are taken a few at a time only so that their independent chains overlap.
template <class T, class Weight>
[[gnu::always_inline]] inline void RowBody(const Product<T, Weight>& p, int64_t row) {
  constexpr int64_t kTogether = 8;
  const T* a = p.a + row * p.a_m;
  T* c = p.c + row * p.c_m;
  for (int64_t n = 0; n < p.n; n += kTogether) {
    const int64_t count = std::min(kTogether, p.n - n);
    T sum[kTogether] = {};
    if (p.accumulate) std::copy_n(c + n, count, sum);
    if (count == kTogether) {
      for (int64_t k = 0; k < p.k; ++k) {
        const T left = a[k * p.a_k];
        const Weight* b = p.b + k * p.b_k + n * p.b_n;
        for (int64_t i = 0; i < kTogether; ++i) sum[i] = std::fma(left, Widen<T>(b[i * p.b_n]), sum[i]);
      }
    } else {
      for (int64_t i = 0; i < count; ++i) {
        const Weight* b = p.b + (n + i) * p.b_n;
        for (int64_t k = 0; k < p.k; ++k) sum[i] = std::fma(a[k * p.a_k], Widen<T>(b[k * p.b_k]), sum[i]);
      }
    }
    std::copy_n(sum, count, c + n);
  }
}

template <class T, class Weight>
void Row(const Product<T, Weight>& p, int64_t row) {
  RowBody(p, row);
}

#if defined(__x86_64__)
// The same with the processor's own instruction in place of a library call; std::fma is exact either way.
template <class T, class Weight>
[[gnu::target("fma")]] void RowWithFma(const Product<T, Weight>& p, int64_t row) {
  RowBody(p, row);
}
#endif

template <class T, class Weight>
void Run(const Product<T, Weight>& product, ThreadPool& pool) {
  auto* row = &Row<T, Weight>;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("fma")) row = &RowWithFma<T, Weight>;
#endif
  pool.ParallelFor(product.m, [&](int64_t i, int) { row(product, i); });
}

// Calls `run` with a product of the types the arguments name.
template <class Function>
void WithTypes(DType dtype, DType weight_dtype, Function run) {
  CHECK(dtype == DType::kF32 || dtype == DType::kF64);
  CHECK(weight_dtype == dtype || weight_dtype == DType::kBF16);
  if (dtype == DType::kF32) {
    weight_dtype == DType::kBF16 ? run(Product<float, uint16_t>{}) : run(Product<float, float>{});
  } else {
    weight_dtype == DType::kBF16 ? run(Product<double, uint16_t>{}) : run(Product<double, double>{});
  }
}

template <class T, class Weight>
void RunLinear(Product<T, Weight>, const LinearArgs& args, ThreadPool& pool) {
  Run(Product<T, Weight>{.m = args.rows, .n = args.outputs, .k = args.inputs,
                         .a = static_cast<const T*>(args.x), .a_m = args.x_stride, .a_k = 1,
                         .b = static_cast<const Weight*>(args.w), .b_k = 1, .b_n = args.w_stride,
                         .c = static_cast<T*>(args.y), .c_m = args.y_stride, .accumulate = args.accumulate},
      pool);
}

template <class T, class Weight>
void RunBackwardInput(Product<T, Weight>, const LinearArgs& args, ThreadPool& pool) {
  Run(Product<T, Weight>{.m = args.rows, .n = args.inputs, .k = args.outputs,
                         .a = static_cast<const T*>(args.y), .a_m = args.y_stride, .a_k = 1,
                         .b = static_cast<const Weight*>(args.w), .b_k = args.w_stride, .b_n = 1,
                         .c = static_cast<T*>(args.x), .c_m = args.x_stride, .accumulate = args.accumulate},
      pool);
}

template <class T>
void RunBackwardWeight(const LinearArgs& args, ThreadPool& pool) {
  Run(Product<T, T>{.m = args.outputs, .n = args.inputs, .k = args.rows,
                    .a = static_cast<const T*>(args.y), .a_m = 1, .a_k = args.y_stride,
                    .b = static_cast<const T*>(args.x), .b_k = args.x_stride, .b_n = 1,
                    .c = static_cast<T*>(args.w), .c_m = args.w_stride, .accumulate = args.accumulate},
      pool);
}

// The part of `args` that is group g's.
LinearArgs Group(const GroupedLinearArgs& args, int64_t g) {
  const int64_t begin = args.group_start[g];
  const int64_t bytes = SizeOf(args.dtype);
  return {.dtype = args.dtype, .weight_dtype = args.weight_dtype,
          .rows = args.group_start[g + 1] - begin, .outputs = args.outputs, .inputs = args.inputs,
          .x = static_cast<char*>(args.x) + begin * args.x_stride * bytes, .x_stride = args.x_stride,
          .w = args.w[g], .w_stride = args.w_stride,
          .y = static_cast<char*>(args.y) + begin * args.y_stride * bytes, .y_stride = args.y_stride,
          .accumulate = args.accumulate};
}

}  // namespace

void Linear(const LinearArgs& args, ThreadPool& pool) {
  WithTypes(args.dtype, args.weight_dtype, [&](auto types) { RunLinear(types, args, pool); });
}

void LinearBackwardInput(const LinearArgs& args, ThreadPool& pool) {
  WithTypes(args.dtype, args.weight_dtype, [&](auto types) { RunBackwardInput(types, args, pool); });
}

void LinearBackwardWeight(const LinearArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == args.weight_dtype);
  CHECK(args.dtype == DType::kF32 || args.dtype == DType::kF64);
  args.dtype == DType::kF32 ? RunBackwardWeight<float>(args, pool) : RunBackwardWeight<double>(args, pool);
}

void GroupedLinear(const GroupedLinearArgs& args, ThreadPool& pool) {
  for (int64_t g = 0; g < args.groups; ++g) Linear(Group(args, g), pool);
}

void GroupedLinearBackwardInput(const GroupedLinearArgs& args, ThreadPool& pool) {
  for (int64_t g = 0; g < args.groups; ++g) LinearBackwardInput(Group(args, g), pool);
}

void GroupedLinearBackwardWeight(const GroupedLinearArgs& args, ThreadPool& pool) {
  for (int64_t g = 0; g < args.groups; ++g) LinearBackwardWeight(Group(args, g), pool);
}

}  // namespace sputnik::reference
