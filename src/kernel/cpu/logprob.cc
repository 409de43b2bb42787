#include "kernel/cpu/logprob.h"

#include <limits>

#include "base/check.h"
#include "kernel/cpu/split.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/cpu/logprob.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernel/cpu/elementary-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
using namespace simd;

void LogSoftmaxRows(const LogSoftmaxArgs& a, int64_t begin, int64_t end) {
  const float beta = static_cast<float>(a.inverse_temperature);
  const V scale = hn::Set(D(), beta);
  for (int64_t r = begin; r < end; ++r) {
    const float* z = static_cast<const float*>(a.logits) + r * a.logits_stride;
    RowLanes lanes;
    lanes.Fill(-std::numeric_limits<float>::infinity());
    // Whole rows only; the few last columns one by one, so that no padding can be the largest.
    const int64_t whole = a.columns / kRowLanes * kRowLanes;
    ForEachRowLane(whole, lanes, [&](auto access, int64_t i, V& lane) HWY_ATTR {
      lane = hn::Max(lane, hn::Mul(access.Load(z + i), scale));
    });
    float max = lanes.Max();
    for (int64_t c = whole; c < a.columns; ++c) max = z[c] * beta > max ? z[c] * beta : max;

    const V shift = hn::Set(D(), max);
    RowLanes total, weighted;
    total.Fill(0);
    weighted.Fill(0);
    if (a.entropy == nullptr) {
      ForEachRowLane(a.columns, total, [&](auto access, int64_t i, V& lane) HWY_ATTR {
        lane = hn::Add(lane, access.Keep(Exp(hn::Sub(hn::Mul(access.Load(z + i), scale), shift))));
      });
    } else {
      ForEachRowLane(a.columns, total, [&](auto access, int64_t i, V& lane) HWY_ATTR {
        const V shifted = hn::Sub(hn::Mul(access.Load(z + i), scale), shift);
        const V e = access.Keep(Exp(shifted));
        lane = hn::Add(lane, e);
        V& product = weighted.part[i % kRowLanes / kWidth];
        product = hn::MulAdd(e, access.Keep(shifted), product);
      });
    }
    const float sum = total.Total();
    const float log_sum = reference::Log(sum);
    const float lse = max + log_sum;
    const int32_t target = a.targets[r];
    static_cast<float*>(a.lse)[r] = lse;
    static_cast<float*>(a.logprob)[r] = target < 0 ? 0.0f : z[target] * beta - lse;
    if (a.entropy != nullptr) static_cast<float*>(a.entropy)[r] = log_sum - weighted.Total() / sum;
  }
}

void LogSoftmaxBackwardRows(const LogSoftmaxBackwardArgs& a, int64_t begin, int64_t end) {
  const float beta = static_cast<float>(a.inverse_temperature);
  const V scale = hn::Set(D(), beta), zero = hn::Zero(D());
  for (int64_t r = begin; r < end; ++r) {
    float* z = static_cast<float*>(a.logits) + r * a.logits_stride;
    const int32_t target = a.targets[r];
    if (target < 0) {
      std::fill(z, z + a.columns, 0.0f);
      continue;
    }
    const float lse = static_cast<const float*>(a.lse)[r];
    const float seed = static_cast<const float*>(a.dlogprob)[r] * beta;
    const float at_target = seed * (1.0f - reference::Exp(z[target] * beta - lse));
    const V shift = hn::Set(D(), lse), factor = hn::Set(D(), seed);
    ForEachVector(a.columns, [&](auto access, int64_t i) HWY_ATTR {
      const V p = Exp(hn::Sub(hn::Mul(access.Load(z + i), scale), shift));
      access.Store(hn::Mul(factor, hn::Sub(zero, p)), z + i);
    });
    z[target] = at_target;
  }
}

}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sputnik::cpu {

HWY_EXPORT(LogSoftmaxRows);
HWY_EXPORT(LogSoftmaxBackwardRows);

void LogSoftmax(const LogSoftmaxArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  const auto rows = HWY_DYNAMIC_DISPATCH(LogSoftmaxRows);
  SplitRange(pool, args.rows, 4 * args.columns, 1, [&](int64_t begin, int64_t end) { rows(args, begin, end); });
}

void LogSoftmaxBackward(const LogSoftmaxBackwardArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  const auto rows = HWY_DYNAMIC_DISPATCH(LogSoftmaxBackwardRows);
  SplitRange(pool, args.rows, 2 * args.columns, 1, [&](int64_t begin, int64_t end) { rows(args, begin, end); });
}

}  // namespace sputnik::cpu
#endif
