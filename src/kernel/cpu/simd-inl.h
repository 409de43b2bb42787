// What the float kernels of this machine share, compiled once per SIMD target: loops over columns with a safe tail, and
// the 16-lane row sum of kernel/args.h, which is one AVX-512 vector, two AVX2 or four NEON vectors.
#if defined(SPUTNIK_KERNEL_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPUTNIK_KERNEL_CPU_SIMD_INL_H_
#undef SPUTNIK_KERNEL_CPU_SIMD_INL_H_
#else
#define SPUTNIK_KERNEL_CPU_SIMD_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
namespace simd {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::CappedTag<float, 16>;
using V = hn::Vec<D>;
constexpr int64_t kWidth = static_cast<int64_t>(hn::MaxLanes(D()));
constexpr int64_t kRowLanes = 16;                             // lanes of a row sum
constexpr int kParts = static_cast<int>(kRowLanes / kWidth);  // vectors that hold them

// How a loop body reaches memory: whole vectors, or the first `count` elements with zeros behind them. The tail never
// touches what lies beyond, neither reading (it may not exist) nor writing (it may be another thread's).
struct Whole {
  static HWY_INLINE V Load(const float* p) { return hn::LoadU(D(), p); }
  static HWY_INLINE void Store(V v, float* p) { hn::StoreU(v, D(), p); }
  static HWY_INLINE V Keep(V v) { return v; }  // zeroes what lies beyond the row
  static HWY_INLINE V KeepElse(V v, V) { return v; }
};
struct Tail {
  int64_t count;  // 0 … kWidth

  HWY_INLINE V Load(const float* p) const {
#if HWY_TARGET <= HWY_AVX2 && HWY_ARCH_X86
    return hn::MaskedLoad(hn::FirstN(D(), static_cast<size_t>(count)), D(), p);
#else
    HWY_ALIGN float lanes[kWidth] = {};
    std::memcpy(lanes, p, static_cast<size_t>(count) * sizeof(float));
    return hn::Load(D(), lanes);
#endif
  }
  HWY_INLINE void Store(V v, float* p) const {
#if HWY_TARGET <= HWY_AVX2 && HWY_ARCH_X86
    hn::BlendedStore(v, hn::FirstN(D(), static_cast<size_t>(count)), D(), p);
#else
    HWY_ALIGN float lanes[kWidth];
    hn::Store(v, D(), lanes);
    std::memcpy(p, lanes, static_cast<size_t>(count) * sizeof(float));
#endif
  }
  HWY_INLINE V Keep(V v) const { return hn::IfThenElseZero(hn::FirstN(D(), static_cast<size_t>(count)), v); }
  HWY_INLINE V KeepElse(V v, V beyond) const {
    return hn::IfThenElse(hn::FirstN(D(), static_cast<size_t>(count)), v, beyond);
  }
};

// body(access, column) for each vector of n columns.
template <class F>
HWY_INLINE void ForEachVector(int64_t n, F&& body) {
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) body(Whole{}, i);
  if (i < n) body(Tail{n - i}, i);
}

// Sixteen lanes: element i of a row belongs to lane i mod 16.
struct RowLanes {
  V part[kParts];

  HWY_INLINE void Fill(float value) {
    HWY_UNROLL(16)
    for (int u = 0; u < kParts; ++u) part[u] = hn::Set(D(), value);
  }
  // Lanes 8 apart, then 4, 2 and 1.
  HWY_INLINE float Total() const {
    HWY_ALIGN float lane[kRowLanes];
    HWY_UNROLL(16)
    for (int u = 0; u < kParts; ++u) hn::Store(part[u], D(), lane + u * kWidth);
    const hn::CappedTag<float, 4> d4;
    HWY_ALIGN float four[4];
    for (int64_t i = 0; i < 4; i += static_cast<int64_t>(hn::MaxLanes(d4))) {
      const auto low = hn::Add(hn::Load(d4, lane + i), hn::Load(d4, lane + i + 8));
      const auto high = hn::Add(hn::Load(d4, lane + i + 4), hn::Load(d4, lane + i + 12));
      hn::Store(hn::Add(low, high), d4, four + i);
    }
    return (four[0] + four[2]) + (four[1] + four[3]);
  }
  HWY_INLINE float Max() const {
    V max = part[0];
    HWY_UNROLL(16)
    for (int u = 1; u < kParts; ++u) max = hn::Max(max, part[u]);
    return hn::GetLane(hn::MaxOfLanes(D(), max));
  }
};

// body(access, column, lane vector) over a row continued with zeros to a multiple of 16: access loads those zeros, or
// Keep() makes them.
template <class F>
HWY_INLINE void ForEachRowLane(int64_t n, RowLanes& lanes, F&& body) {
  int64_t i = 0;
  for (; i + kRowLanes <= n; i += kRowLanes) {
    HWY_UNROLL(16)
    for (int u = 0; u < kParts; ++u) body(Whole{}, i + u * kWidth, lanes.part[u]);
  }
  if (i == n) return;
  HWY_UNROLL(16)
  for (int u = 0; u < kParts; ++u) {
    const int64_t begin = i + u * kWidth;
    body(Tail{std::clamp<int64_t>(n - begin, 0, kWidth)}, begin, lanes.part[u]);
  }
}

HWY_INLINE float DotOfRows(const float* a, const float* b, int64_t n) {
  RowLanes sum;
  sum.Fill(0);
  ForEachRowLane(n, sum, [&](auto access, int64_t i, V& lane) HWY_ATTR {
    lane = hn::MulAdd(access.Load(a + i), access.Load(b + i), lane);
  });
  return sum.Total();
}

}  // namespace simd
}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
