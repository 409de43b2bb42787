#include "kernel/reference/update.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernel/reference/elementary.h"
#include "kernel/reference/linear.h"

namespace sputnik::reference {
namespace {

constexpr int64_t kSumBlock = 4096;

template <class T>
double Squares(const T* x, int64_t n) {
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += kSumBlock) {
    LaneSum<T> block;
    for (int64_t i = begin; i < std::min(n, begin + kSumBlock); ++i) block.AddProduct(x[i], x[i]);
    sum += static_cast<double>(block.Total());
  }
  return sum;
}

template <class T>
void AdamWElements(const AdamWArgs& a) {
  T* p = static_cast<T*>(a.parameter);
  T* m = static_cast<T*>(a.first);
  T* v = static_cast<T*>(a.second);
  const T gradient_scale = static_cast<T>(a.gradient_scale);
  const T beta1 = static_cast<T>(a.beta1), beta2 = static_cast<T>(a.beta2);
  const T rest1 = static_cast<T>(1 - a.beta1), rest2 = static_cast<T>(1 - a.beta2);
  const T inverse1 = static_cast<T>(1 / a.correction1), inverse2 = static_cast<T>(1 / a.correction2);
  const T epsilon = static_cast<T>(a.epsilon), decay = static_cast<T>(a.weight_decay), lr = static_cast<T>(a.lr);
  for (int64_t i = 0; i < a.elements; ++i) {
    const T g = static_cast<const T*>(a.gradient)[i] * gradient_scale;
    m[i] = std::fma(beta1, m[i], rest1 * g);
    v[i] = std::fma(beta2, v[i], (rest2 * g) * g);
    const T step = (m[i] * inverse1) / (std::sqrt(v[i] * inverse2) + epsilon);
    p[i] = std::fma(-lr, std::fma(decay, p[i], step), p[i]);
  }
}

template <class T>
void MuonStep(const MuonArgs& a, const MuonMatrix& matrix, ThreadPool& pool) {
  const int64_t rows = matrix.rows, columns = matrix.columns, elements = rows * columns;
  const bool turned = rows > columns;
  const int64_t n = std::min(rows, columns), k = std::max(rows, columns);
  T* momentum = static_cast<T*>(matrix.momentum);
  const T gradient_scale = static_cast<T>(a.gradient_scale), mu = static_cast<T>(a.momentum);
  std::vector<T> u(static_cast<size_t>(elements));
  for (int64_t i = 0; i < elements; ++i) {
    const T g = static_cast<const T*>(matrix.gradient)[i] * gradient_scale;
    momentum[i] = std::fma(mu, momentum[i], g);
    u[i] = std::fma(mu, momentum[i], g);
  }
  const T inverse = static_cast<T>(1 / (std::sqrt(Squares(u.data(), elements)) + 1e-7));
  // x is [n, k] with n <= k
  const auto at = [&](int64_t i) { return turned ? i % columns * rows + i / columns : i; };
  std::vector<T> x(u.size()), next(u.size());
  for (int64_t i = 0; i < elements; ++i) x[at(i)] = u[i] * inverse;

  std::vector<T> gram(static_cast<size_t>(n * n)), polynomial(gram.size());
  LinearArgs product;
  product.dtype = product.weight_dtype = a.dtype;
  product.rows = product.outputs = n;
  for (int64_t iteration = 0; iteration < a.iterations; ++iteration) {
    product.inputs = k;  // A = X Xᵀ
    product.x = product.w = x.data();
    product.x_stride = product.w_stride = k;
    product.y = gram.data();
    product.y_stride = n;
    product.accumulate = false;
    Linear(product, pool);
    product.inputs = n;  // A² = A Aᵀ
    product.x = product.w = gram.data();
    product.x_stride = product.w_stride = n;
    product.y = polynomial.data();
    Linear(product, pool);
    for (size_t i = 0; i < gram.size(); ++i) {
      polynomial[i] = std::fma(static_cast<T>(2.0315), polynomial[i], static_cast<T>(-4.7750) * gram[i]);
    }
    for (size_t i = 0; i < x.size(); ++i) next[i] = static_cast<T>(3.4445) * x[i];
    product.inputs = k;  // next = a X + (b A + c A²) X
    product.x = next.data();
    product.w = x.data();
    product.x_stride = product.w_stride = k;
    product.y = polynomial.data();
    product.accumulate = true;
    LinearBackwardInput(product, pool);
    std::swap(x, next);
  }

  T* p = static_cast<T*>(matrix.parameter);
  const T factor = static_cast<T>(a.rms_factor * std::sqrt(static_cast<double>(k)));
  const T decay = static_cast<T>(a.weight_decay), lr = static_cast<T>(a.lr);
  for (int64_t i = 0; i < elements; ++i) p[i] = std::fma(-lr, std::fma(decay, p[i], factor * x[at(i)]), p[i]);
}

}  // namespace

void AdamW(const AdamWArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) { AdamWElements<decltype(t)>(args); });
}

void Muon(const MuonArgs& args, ThreadPool& pool) {
  WithNumber(args.dtype, [&](auto t) {
    for (int64_t i = 0; i < args.matrices; ++i) MuonStep<decltype(t)>(args, args.list[i], pool);
  });
}

void SumOfSquares(SumOfSquaresArgs& args, ThreadPool&) {
  WithNumber(args.dtype,
             [&](auto t) { args.result = Squares(static_cast<const decltype(t)*>(args.x), args.elements); });
}

}  // namespace sputnik::reference
