// The exponential of kernel/reference/elementary.h over SIMD lanes: the same operations in the same order, so the same
// bits (on targets with FMA).
#if defined(SPUTNIK_KERNEL_CPU_ELEMENTARY_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPUTNIK_KERNEL_CPU_ELEMENTARY_INL_H_
#undef SPUTNIK_KERNEL_CPU_ELEMENTARY_INL_H_
#else
#define SPUTNIK_KERNEL_CPU_ELEMENTARY_INL_H_
#endif

#include <limits>

#include "kernel/cpu/simd-inl.h"
#include "kernel/reference/elementary.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
namespace simd {

HWY_INLINE V Exp(V x) {
  using K = reference::ExpConstants;
  const D d;
  const hn::RebindToUnsigned<D> bits;
  const V round = hn::Set(d, K::kRound);
  const V shifted = hn::MulAdd(x, hn::Set(d, K::kLog2E), round);
  const V n = hn::Sub(shifted, round);
  const V r = hn::MulAdd(n, hn::Set(d, -K::kLn2Low), hn::MulAdd(n, hn::Set(d, -K::kLn2High), x));
  V q = hn::MulAdd(hn::Set(d, K::kQ[4]), r, hn::Set(d, K::kQ[3]));
  q = hn::MulAdd(q, r, hn::Set(d, K::kQ[2]));
  q = hn::MulAdd(q, r, hn::Set(d, K::kQ[1]));
  q = hn::MulAdd(q, r, hn::Set(d, K::kQ[0]));
  const V p = hn::Add(hn::Set(d, 1.0f), hn::MulAdd(q, hn::Mul(r, r), r));
  const V scaled = hn::BitCast(d, hn::Add(hn::BitCast(bits, p), hn::ShiftLeft<23>(hn::BitCast(bits, shifted))));
  const V capped =
      hn::IfThenElse(hn::Gt(x, hn::Set(d, K::kHighest)), hn::Set(d, std::numeric_limits<float>::infinity()), scaled);
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, K::kLowest)), capped);
}

// 1 / (1 + exp(-x))
HWY_INLINE V Sigmoid(V x) {
  const V one = hn::Set(D(), 1.0f);
  return hn::Div(one, hn::Add(one, Exp(hn::Neg(x))));
}

}  // namespace simd
}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
