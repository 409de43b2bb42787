#include "kernel/reference/logprob.h"

#include <cmath>

#include "kernel/reference/elementary.h"

namespace sputnik::reference {
namespace {

template <class T>
void Forward(const LogSoftmaxArgs& a) {
  const T beta = static_cast<T>(a.inverse_temperature);
  for (int64_t r = 0; r < a.rows; ++r) {
    const T* z = static_cast<const T*>(a.logits) + r * a.logits_stride;
    T max = -std::numeric_limits<T>::infinity();
    for (int64_t c = 0; c < a.columns; ++c) {
      if (z[c] * beta > max) max = z[c] * beta;
    }
    LaneSum<T> total, weighted;
    for (int64_t c = 0; c < a.columns; ++c) {
      const T shifted = z[c] * beta - max;
      const T e = Exp(shifted);
      total.Add(e);
      weighted.AddProduct(e, shifted);
    }
    const T sum = total.Total();
    const T log_sum = Log(sum);
    const T lse = max + log_sum;
    static_cast<T*>(a.lse)[r] = lse;
    static_cast<T*>(a.logprob)[r] = a.targets[r] < 0 ? T(0) : z[a.targets[r]] * beta - lse;
    if (a.entropy != nullptr) static_cast<T*>(a.entropy)[r] = log_sum - weighted.Total() / sum;
  }
}

template <class T>
void Backward(const LogSoftmaxBackwardArgs& a) {
  const T beta = static_cast<T>(a.inverse_temperature);
  for (int64_t r = 0; r < a.rows; ++r) {
    T* z = static_cast<T*>(a.logits) + r * a.logits_stride;
    const T lse = static_cast<const T*>(a.lse)[r];
    const T seed = static_cast<const T*>(a.dlogprob)[r] * beta;
    for (int64_t c = 0; c < a.columns; ++c) {
      if (a.targets[r] < 0) {
        z[c] = 0;
      } else {
        z[c] = seed * ((c == a.targets[r] ? T(1) : T(0)) - Exp(z[c] * beta - lse));
      }
    }
  }
}

}  // namespace

void LogSoftmax(const LogSoftmaxArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) { Forward<decltype(t)>(args); });
}

void LogSoftmaxBackward(const LogSoftmaxBackwardArgs& args, ThreadPool&) {
  WithNumber(args.dtype, [&](auto t) { Backward<decltype(t)>(args); });
}

}  // namespace sputnik::reference
