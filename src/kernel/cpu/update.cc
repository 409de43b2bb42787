#include "kernel/cpu/update.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernel/cpu/linear.h"
#include "kernel/cpu/scratch.h"
#include "kernel/cpu/split.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/cpu/update.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernel/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
using namespace simd;

HWY_INLINE V Constant(double value) { return hn::Set(D(), static_cast<float>(value)); }

void AdamWElements(const AdamWArgs& a, int64_t begin, int64_t end) {
  float* p = static_cast<float*>(a.parameter) + begin;
  float* m = static_cast<float*>(a.first) + begin;
  float* v = static_cast<float*>(a.second) + begin;
  const float* gradient = static_cast<const float*>(a.gradient) + begin;
  const V gradient_scale = Constant(a.gradient_scale), beta1 = Constant(a.beta1), beta2 = Constant(a.beta2);
  const V rest1 = Constant(1 - a.beta1), rest2 = Constant(1 - a.beta2);
  const V inverse1 = Constant(1 / a.correction1), inverse2 = Constant(1 / a.correction2);
  const V epsilon = Constant(a.epsilon), decay = Constant(a.weight_decay), lr = Constant(a.lr);
  ForEachVector(end - begin, [&](auto access, int64_t i) HWY_ATTR {
    const V g = hn::Mul(access.Load(gradient + i), gradient_scale);
    const V first = hn::MulAdd(beta1, access.Load(m + i), hn::Mul(rest1, g));
    const V second = hn::MulAdd(beta2, access.Load(v + i), hn::Mul(hn::Mul(rest2, g), g));
    const V root = hn::Sqrt(hn::Mul(second, inverse2));
    const V step = hn::Div(hn::Mul(first, inverse1), hn::Add(root, epsilon));
    const V value = access.Load(p + i);
    access.Store(first, m + i);
    access.Store(second, v + i);
    access.Store(hn::NegMulAdd(lr, hn::MulAdd(decay, value, step), value), p + i);
  });
}

// M = μ M + g and u = g + μ M.
void MuonMomentum(const MuonArgs& a, const MuonMatrix& matrix, float* u, int64_t begin, int64_t end) {
  const float* gradient = static_cast<const float*>(matrix.gradient);
  float* momentum = static_cast<float*>(matrix.momentum);
  const V gradient_scale = Constant(a.gradient_scale), mu = Constant(a.momentum);
  ForEachVector(end - begin, [&](auto access, int64_t i) HWY_ATTR {
    const V g = hn::Mul(access.Load(gradient + begin + i), gradient_scale);
    const V average = hn::MulAdd(mu, access.Load(momentum + begin + i), g);
    access.Store(average, momentum + begin + i);
    access.Store(hn::MulAdd(mu, average, g), u + begin + i);
  });
}

void MuonApply(const MuonArgs& a, const MuonMatrix& matrix, const float* x, int64_t begin, int64_t end) {
  float* p = static_cast<float*>(matrix.parameter);
  const V factor = Constant(a.rms_factor * std::sqrt(static_cast<double>(std::max(matrix.rows, matrix.columns))));
  const V decay = Constant(a.weight_decay), lr = Constant(a.lr);
  ForEachVector(end - begin, [&](auto access, int64_t i) HWY_ATTR {
    const V value = access.Load(p + begin + i);
    const V step = hn::MulAdd(decay, value, hn::Mul(factor, access.Load(x + begin + i)));
    access.Store(hn::NegMulAdd(lr, step, value), p + begin + i);
  });
}

// y = factor · x; in place when they are the same.
void MuonScale(float factor, const float* x, float* y, int64_t begin, int64_t end) {
  const V by = hn::Set(D(), factor);
  ForEachVector(end - begin, [&](auto access, int64_t i)
                                 HWY_ATTR { access.Store(hn::Mul(by, access.Load(x + begin + i)), y + begin + i); });
}

// square = b · gram + c · square
void MuonPolynomial(const float* gram, float* square, int64_t begin, int64_t end) {
  const V b = Constant(-4.7750), c = Constant(2.0315);
  ForEachVector(end - begin, [&](auto access, int64_t i) HWY_ATTR {
    const V linear = hn::Mul(b, access.Load(gram + begin + i));
    access.Store(hn::MulAdd(c, access.Load(square + begin + i), linear), square + begin + i);
  });
}

float SumOfSquaresBlock(const float* x, int64_t n) { return DotOfRows(x, x, n); }

}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sputnik::cpu {

HWY_EXPORT(AdamWElements);
HWY_EXPORT(MuonMomentum);
HWY_EXPORT(MuonApply);
HWY_EXPORT(MuonScale);
HWY_EXPORT(MuonPolynomial);
HWY_EXPORT(SumOfSquaresBlock);

namespace {

constexpr int64_t kSumBlock = 4096;
// A matrix of fewer elements than this is one task among others; a larger one has the whole pool to itself.
constexpr int64_t kSmallMatrix = 512 * 1024;

double Squares(const float* x, int64_t n, ThreadPool& pool) {
  const auto block = HWY_DYNAMIC_DISPATCH(SumOfSquaresBlock);
  std::vector<float> sums(static_cast<size_t>((n + kSumBlock - 1) / kSumBlock));
  SplitRange(pool, static_cast<int64_t>(sums.size()), kSumBlock, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[i] = block(x + i * kSumBlock, std::min(kSumBlock, n - i * kSumBlock));
  });
  double total = 0;
  for (float sum : sums) total += static_cast<double>(sum);
  return total;
}

// One matrix. The reference turns a tall one over; here the products run over its rows instead, which are the same
// chains, as the Gram matrix and every polynomial of it are symmetric to the last bit.
void MuonStep(const MuonArgs& a, const MuonMatrix& matrix, ScratchBuffer& scratch, ThreadPool& pool) {
  const int64_t elements = matrix.rows * matrix.columns;
  const bool tall = matrix.rows > matrix.columns;
  const int64_t n = std::min(matrix.rows, matrix.columns);
  const auto split = [&](int64_t count, auto&& range) { SplitRange(pool, count, 2, 64, range); };
  float* x = scratch.Get(2 * elements + 2 * n * n);
  float* next = x + elements;
  float* gram = next + elements;
  float* polynomial = gram + n * n;

  const auto momentum = HWY_DYNAMIC_DISPATCH(MuonMomentum);
  split(elements, [&](int64_t begin, int64_t end) { momentum(a, matrix, x, begin, end); });
  const float inverse = static_cast<float>(1 / (std::sqrt(Squares(x, elements, pool)) + 1e-7));
  const auto scale = HWY_DYNAMIC_DISPATCH(MuonScale);
  split(elements, [&](int64_t begin, int64_t end) { scale(inverse, x, x, begin, end); });

  LinearArgs inner;  // the n x n products
  inner.rows = inner.outputs = n;
  inner.y_stride = n;
  LinearArgs outer;  // next += polynomial · x, or x · polynomial
  outer.accumulate = true;
  outer.rows = matrix.rows;
  outer.outputs = n;
  outer.inputs = matrix.columns;
  outer.x_stride = matrix.columns;
  outer.w_stride = outer.y_stride = n;
  if (!tall) outer.w_stride = matrix.columns;
  const auto mix = HWY_DYNAMIC_DISPATCH(MuonPolynomial);
  for (int64_t iteration = 0; iteration < a.iterations; ++iteration) {
    if (tall) {  // gram = xᵀ x, a chain over rows
      LinearArgs columns;
      columns.rows = matrix.rows;
      columns.outputs = columns.inputs = n;
      columns.x = columns.y = x;
      columns.x_stride = columns.y_stride = n;
      columns.w = gram;
      columns.w_stride = n;
      LinearBackwardWeight(columns, pool);
    } else {
      inner.inputs = matrix.columns;
      inner.x = inner.w = x;
      inner.x_stride = inner.w_stride = matrix.columns;
      inner.y = gram;
      Linear(inner, pool);
    }
    inner.inputs = n;
    inner.x = inner.w = gram;
    inner.x_stride = inner.w_stride = n;
    inner.y = polynomial;
    Linear(inner, pool);
    split(n * n, [&](int64_t begin, int64_t end) { mix(gram, polynomial, begin, end); });
    split(elements, [&](int64_t begin, int64_t end) { scale(3.4445f, x, next, begin, end); });
    if (tall) {
      outer.x = x;
      outer.w = polynomial;
      outer.y = next;
      Linear(outer, pool);
    } else {
      outer.x = next;
      outer.w = x;
      outer.y = polynomial;
      LinearBackwardInput(outer, pool);
    }
    std::swap(x, next);
  }
  const auto apply = HWY_DYNAMIC_DISPATCH(MuonApply);
  split(elements, [&](int64_t begin, int64_t end) { apply(a, matrix, x, begin, end); });
}

}  // namespace

void AdamW(const AdamWArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  const auto elements = HWY_DYNAMIC_DISPATCH(AdamWElements);
  SplitRange(pool, args.elements, 4, 64, [&](int64_t begin, int64_t end) { elements(args, begin, end); });
}

void Muon(const MuonArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  std::vector<const MuonMatrix*> small, large;
  for (int64_t i = 0; i < args.matrices; ++i) {
    const MuonMatrix& matrix = args.list[i];
    if (matrix.rows * matrix.columns == 0) continue;
    (matrix.rows * matrix.columns < kSmallMatrix ? small : large).push_back(&matrix);
  }
  if (static_cast<int>(small.size()) < 2 * pool.size()) {  // too few to keep every thread busy
    large.insert(large.end(), small.begin(), small.end());
    small.clear();
  }
  std::vector<ScratchBuffer> scratch(static_cast<size_t>(pool.size()));
  pool.ParallelFor(static_cast<int64_t>(small.size()),
                   [&](int64_t i, int worker) { MuonStep(args, *small[i], scratch[worker], pool); });
  for (const MuonMatrix* matrix : large) MuonStep(args, *matrix, scratch[0], pool);
}

void SumOfSquares(SumOfSquaresArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  args.result = Squares(static_cast<const float*>(args.x), args.elements, pool);
}

}  // namespace sputnik::cpu
#endif
