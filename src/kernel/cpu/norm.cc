#include "kernel/cpu/norm.h"

#include <cmath>

#include "base/check.h"
#include "kernel/cpu/split.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/cpu/norm.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernel/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
using namespace simd;

void RmsNormRows(const RmsNormArgs& a, int64_t begin, int64_t end) {
  const float* gain = static_cast<const float*>(a.gain);
  for (int64_t r = begin; r < end; ++r) {
    const float* x = static_cast<const float*>(a.x) + r * a.x_stride;
    float* y = static_cast<float*>(a.y) + r * a.y_stride;
    const float mean = DotOfRows(x, x, a.columns) / static_cast<float>(a.columns);
    const float inverse = 1.0f / std::sqrt(mean + static_cast<float>(a.epsilon));
    static_cast<float*>(a.inv_rms)[r] = inverse;
    const V scale = hn::Set(D(), inverse);
    ForEachVector(a.columns, [&](auto access, int64_t i) HWY_ATTR {
      access.Store(hn::Mul(hn::Mul(access.Load(x + i), scale), access.Load(gain + i)), y + i);
    });
  }
}

void RmsNormBackwardRows(const RmsNormBackwardArgs& a, int64_t begin, int64_t end) {
  const RmsNormArgs& f = a.forward;
  const float* gain = static_cast<const float*>(f.gain);
  for (int64_t r = begin; r < end; ++r) {
    const float* x = static_cast<const float*>(f.x) + r * f.x_stride;
    const float* dy = static_cast<const float*>(a.dy) + r * a.dy_stride;
    float* dx = static_cast<float*>(a.dx) + r * a.dx_stride;
    const float inverse = static_cast<const float*>(f.inv_rms)[r];
    RowLanes dot;
    dot.Fill(0);
    ForEachRowLane(f.columns, dot, [&](auto access, int64_t i, V& lane) HWY_ATTR {
      lane = hn::MulAdd(hn::Mul(access.Load(dy + i), access.Load(gain + i)), access.Load(x + i), lane);
    });
    const V mean = hn::Set(D(), (dot.Total() * inverse) / static_cast<float>(f.columns));
    const V scale = hn::Set(D(), inverse);
    ForEachVector(f.columns, [&](auto access, int64_t i) HWY_ATTR {
      const V weighted = hn::Mul(access.Load(dy + i), access.Load(gain + i));
      const V inner = hn::NegMulAdd(hn::Mul(access.Load(x + i), scale), mean, weighted);
      access.Store(hn::MulAdd(scale, inner, access.Load(dx + i)), dx + i);
    });
  }
}

// All rows of some columns, as each column's chain runs over the rows.
void RmsNormGainColumns(const RmsNormBackwardArgs& a, int64_t begin, int64_t end) {
  const RmsNormArgs& f = a.forward;
  float* dgain = static_cast<float*>(a.dgain) + begin;
  for (int64_t r = 0; r < f.rows; ++r) {
    const float* x = static_cast<const float*>(f.x) + r * f.x_stride + begin;
    const float* dy = static_cast<const float*>(a.dy) + r * a.dy_stride + begin;
    const V scale = hn::Set(D(), static_cast<const float*>(f.inv_rms)[r]);
    ForEachVector(end - begin, [&](auto access, int64_t i) HWY_ATTR {
      const V normalised = hn::Mul(access.Load(x + i), scale);
      access.Store(hn::MulAdd(access.Load(dy + i), normalised, access.Load(dgain + i)), dgain + i);
    });
  }
}

}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sputnik::cpu {

HWY_EXPORT(RmsNormRows);
HWY_EXPORT(RmsNormBackwardRows);
HWY_EXPORT(RmsNormGainColumns);

void RmsNorm(const RmsNormArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  const auto rows = HWY_DYNAMIC_DISPATCH(RmsNormRows);
  SplitRange(pool, args.rows, args.columns, 1, [&](int64_t begin, int64_t end) { rows(args, begin, end); });
}

void RmsNormBackward(const RmsNormBackwardArgs& args, ThreadPool& pool) {
  const RmsNormArgs& forward = args.forward;
  CHECK(forward.dtype == DType::kF32);
  const auto rows = HWY_DYNAMIC_DISPATCH(RmsNormBackwardRows);
  SplitRange(pool, forward.rows, forward.columns, 1, [&](int64_t begin, int64_t end) { rows(args, begin, end); });
  if (args.dgain == nullptr) return;
  const auto columns = HWY_DYNAMIC_DISPATCH(RmsNormGainColumns);
  SplitRange(pool, forward.columns, forward.rows, 64, [&](int64_t begin, int64_t end) { columns(args, begin, end); });
}

}  // namespace sputnik::cpu
#endif
