// The elementary functions and the row sum that both machines share, as scalar definitions. In float they are our own
// polynomials in explicit fused arithmetic, good to about one unit in the last place; kernel/cpu/elementary-inl.h
// repeats them over SIMD lanes, operation by operation, so that the bits agree. In double they are base/elementary.h's.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/check.h"
#include "base/elementary.h"
#include "tensor/dtype.h"

namespace sputnik::reference {

// Calls f with a value of the number type that `dtype` names; only its type matters.
template <class F>
void WithNumber(DType dtype, F&& f) {
  CHECK(dtype == DType::kF32 || dtype == DType::kF64);
  if (dtype == DType::kF64) {
    f(double{});
  } else {
    f(float{});
  }
}

// Constants of the float versions, for both machines.
struct ExpConstants {
  static constexpr float kLowest = -0x1.5d589ep+6f;  // below this the result would be subnormal: it is 0
  static constexpr float kHighest = 0x1.62e42ep+6f;  // above this it is +inf
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr float kRound = 0x1.8p+23f;  // adding it leaves the nearest integer in the low bits
  static constexpr float kLn2High = 0x1.62e4p-1f;
  static constexpr float kLn2Low = 0x1.7f7d1cp-20f;
  // exp(r) = 1 + r + r² q(r) for |r| <= ln 2 / 2; lowest power first
  static constexpr float kQ[5] = {0x1p-1f, 0x1.55548ep-3f, 0x1.55545cp-5f, 0x1.123c02p-7f, 0x1.6db51ap-10f};
};

inline float Exp(float x) {
  using K = ExpConstants;
  if (x < K::kLowest) return 0.0f;
  if (x > K::kHighest) return std::numeric_limits<float>::infinity();
  const float shifted = std::fma(x, K::kLog2E, K::kRound);
  const float n = shifted - K::kRound;
  const float r = std::fma(n, -K::kLn2Low, std::fma(n, -K::kLn2High, x));
  float q = std::fma(K::kQ[4], r, K::kQ[3]);
  q = std::fma(q, r, K::kQ[2]);
  q = std::fma(q, r, K::kQ[1]);
  q = std::fma(q, r, K::kQ[0]);
  const float p = 1.0f + std::fma(q, r * r, r);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(shifted) << 23));
}
inline double Exp(double x) { return sputnik::Exp(x); }

// For positive normal numbers; log 1 = +0. Used once per row, so there is no SIMD version.
inline float Log(float x) {
  if (!(x < std::numeric_limits<float>::infinity())) return x;
  const int32_t bits = std::bit_cast<int32_t>(x);
  const int32_t exponent = (bits - 0x3f3504f3) >> 23;  // so that the mantissa lies in [sqrt ½, sqrt 2)
  const float f = std::bit_cast<float>(bits - exponent * (1 << 23)) - 1.0f;
  constexpr float kP[8] = {0x1.55554ap-2f, -0x1.00022ap-2f, 0x1.99a60cp-3f, -0x1.5475a2p-3f,
                           0x1.2261ep-3f,  -0x1.0cf2a4p-3f, 0x1.08320ap-3f, -0x1.427996p-4f};
  float p = kP[7];
  for (int i = 6; i >= 0; --i) p = std::fma(p, f, kP[i]);
  const float e = static_cast<float>(exponent);
  const float square = f * f;
  float y = std::fma(square * f, p, e * 0x1.7f7d1cp-20f);
  y = std::fma(-0.5f, square, y) + f;
  return std::fma(e, 0x1.62e4p-1f, y);
}
inline double Log(double x) { return sputnik::Log(x); }

// 1 / (1 + exp(-x))
template <class T>
T Sigmoid(T x) {
  return T(1) / (T(1) + Exp(-x));
}

// The sum along a row: element i goes to lane i mod 16, in ascending order; Total() continues a row whose length is not
// a multiple of 16 with zeros, then adds lanes 8 apart, 4, 2 and 1.
template <class T>
class LaneSum {
 public:
  void Add(T x) { lane_[Next()] += x; }
  void AddProduct(T a, T b) {
    T& lane = lane_[Next()];
    lane = std::fma(a, b, lane);
  }
  T Total() {
    while (count_ % 16 != 0) Add(T(0));
    T lane[16];
    for (int i = 0; i < 16; ++i) lane[i] = lane_[i];
    for (int width = 8; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i) lane[i] += lane[i + width];
    }
    return lane[0];
  }

 private:
  int64_t Next() { return count_++ % 16; }
  T lane_[16] = {};
  int64_t count_ = 0;
};

}  // namespace sputnik::reference
