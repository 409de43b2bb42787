#include "kernel/cpu/rope.h"

#include "base/check.h"
#include "kernel/cpu/split.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/cpu/rope.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernel/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
using namespace simd;

void RopeInterleaved(const RopeArgs& a, int64_t begin, int64_t end) {
  // The partner's term is subtracted from the first of a pair and added to the second; turning back swaps the signs.
  HWY_ALIGN uint32_t flips[kRowLanes];
  for (int64_t i = 0; i < kRowLanes; ++i) flips[i] = (i % 2 == 1) == a.inverse ? 0x80000000u : 0u;
  const hn::RebindToUnsigned<D> bits;
  const V flip = hn::BitCast(D(), hn::Load(bits, flips));
  for (int64_t t = begin; t < end; ++t) {
    const float* angle = static_cast<const float*>(a.table) + a.positions[t] * a.dim;
    for (int64_t h = 0; h < a.heads; ++h) {
      const float* x = static_cast<const float*>(a.x) + t * a.x_stride + h * a.x_head_stride;
      float* y = static_cast<float*>(a.y) + t * a.y_stride + h * a.y_head_stride;
      ForEachVector(a.dim, [&](auto access, int64_t i) HWY_ATTR {
        const V own = access.Load(x + i), table = access.Load(angle + i);
        const V partner = hn::Xor(hn::Mul(hn::Shuffle2301(own), hn::DupOdd(table)), flip);
        V turned = hn::MulAdd(own, hn::DupEven(table), partner);
        if (a.accumulate) turned = hn::Add(access.Load(y + i), turned);
        access.Store(turned, y + i);
      });
    }
  }
}

void RopeHalves(const RopeArgs& a, int64_t begin, int64_t end) {
  const int64_t pairs = a.dim / 2;
  const V flip = hn::Set(D(), a.inverse ? -0.0f : 0.0f);
  for (int64_t t = begin; t < end; ++t) {
    const float* cosines = static_cast<const float*>(a.table) + a.positions[t] * a.dim;
    const float* sines = cosines + pairs;
    for (int64_t h = 0; h < a.heads; ++h) {
      const float* x = static_cast<const float*>(a.x) + t * a.x_stride + h * a.x_head_stride;
      float* y = static_cast<float*>(a.y) + t * a.y_stride + h * a.y_head_stride;
      ForEachVector(pairs, [&](auto access, int64_t i) HWY_ATTR {
        const V cosine = access.Load(cosines + i), sine = hn::Xor(access.Load(sines + i), flip);
        const V x_first = access.Load(x + i), x_second = access.Load(x + pairs + i);
        V first = hn::MulSub(x_first, cosine, hn::Mul(x_second, sine));
        V second = hn::MulAdd(x_second, cosine, hn::Mul(x_first, sine));
        if (a.accumulate) {
          first = hn::Add(access.Load(y + i), first);
          second = hn::Add(access.Load(y + pairs + i), second);
        }
        access.Store(first, y + i);
        access.Store(second, y + pairs + i);
      });
    }
  }
}

}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sputnik::cpu {

HWY_EXPORT(RopeInterleaved);
HWY_EXPORT(RopeHalves);

void Rope(const RopeArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  CHECK_EQ(args.dim % 2, 0);
  const auto tokens =
      args.layout == RopeLayout::kHalves ? HWY_DYNAMIC_DISPATCH(RopeHalves) : HWY_DYNAMIC_DISPATCH(RopeInterleaved);
  SplitRange(pool, args.tokens, args.heads * args.dim, 1,
             [&](int64_t begin, int64_t end) { tokens(args, begin, end); });
}

}  // namespace sputnik::cpu
#endif
