#include "kernel/peak.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>

#include "base/clock.h"
#include "base/error.h"
#include "kernel/backend.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/peak.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Two units with a latency of four need eight chains at least; twelve and two constants fit in sixteen registers.
constexpr int kChains = 12;

// Runs `steps` rounds of multiply-adds and returns how many operations that were; what was computed goes to `sink`, so
// that it cannot be left out.
int64_t MultiplyAdds(int64_t steps, float* sink) {
  const hn::ScalableTag<float> d;
  const auto factor = hn::Set(d, 0.999f + *sink), term = hn::Set(d, 0.001f);
  auto c0 = hn::Set(d, 0.1f), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0, c8 = c0, c9 = c0, c10 = c0,
       c11 = c0;
  for (int64_t i = 0; i < steps; ++i) {
    c0 = hn::MulAdd(c0, factor, term);
    c1 = hn::MulAdd(c1, factor, term);
    c2 = hn::MulAdd(c2, factor, term);
    c3 = hn::MulAdd(c3, factor, term);
    c4 = hn::MulAdd(c4, factor, term);
    c5 = hn::MulAdd(c5, factor, term);
    c6 = hn::MulAdd(c6, factor, term);
    c7 = hn::MulAdd(c7, factor, term);
    c8 = hn::MulAdd(c8, factor, term);
    c9 = hn::MulAdd(c9, factor, term);
    c10 = hn::MulAdd(c10, factor, term);
    c11 = hn::MulAdd(c11, factor, term);
  }
  const auto a = hn::Add(hn::Add(hn::Add(c0, c1), hn::Add(c2, c3)), hn::Add(hn::Add(c4, c5), hn::Add(c6, c7)));
  *sink = hn::GetLane(hn::Add(a, hn::Add(hn::Add(c8, c9), hn::Add(c10, c11))));
  return steps * kChains * 2 * static_cast<int64_t>(hn::Lanes(d));
}

// The sum of `count` floats, a multiple of 256, read once from front to back.
float ReadAll(const float* data, int64_t count) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0;
  for (int64_t i = 0; i < count; i += 4 * lanes) {
    s0 = hn::Add(s0, hn::LoadU(d, data + i));
    s1 = hn::Add(s1, hn::LoadU(d, data + i + lanes));
    s2 = hn::Add(s2, hn::LoadU(d, data + i + 2 * lanes));
    s3 = hn::Add(s3, hn::LoadU(d, data + i + 3 * lanes));
  }
  return hn::GetLane(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)));
}

}  // namespace sputnik::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sputnik {

HWY_EXPORT(MultiplyAdds);
HWY_EXPORT(ReadAll);

double MeasurePeakFlops(ThreadPool& pool) {
  SimdTarget();  // lets SPUTNIK_SIMD have its say
  const auto multiply_adds = HWY_DYNAMIC_DISPATCH(MultiplyAdds);
  constexpr double kRound = 3e-3;
  const auto seconds_for = [&](int64_t steps, std::atomic<int64_t>& operations) {
    const double start = WallSeconds();
    pool.ParallelFor(pool.size(), [&](int64_t, int) {
      float sink = 0;
      operations += multiply_adds(steps, &sink);
      if (!(sink > 0)) ThrowFailure("the processor computes nonsense: a sum of positive numbers is {}", sink);
    });
    return WallSeconds() - start;
  };
  // The first rounds find how many steps take long enough; they warm the processor up, too.
  int64_t steps = 1000;
  for (;; steps *= 2) {
    std::atomic<int64_t> operations = 0;
    if (seconds_for(steps, operations) >= kRound / 2) break;
  }
  double best = 0;
  for (int round = 0; round < 12; ++round) {
    std::atomic<int64_t> operations = 0;
    const double seconds = seconds_for(steps, operations);
    best = std::max(best, static_cast<double>(operations) / seconds);
  }
  return best;
}

double MeasureReadBandwidth(ThreadPool& pool, int64_t bytes) {
  SimdTarget();
  const auto read_all = HWY_DYNAMIC_DISPATCH(ReadAll);
  constexpr int64_t kPiece = int64_t{1} << 18;  // floats a task reads: 1 MiB
  const int64_t pieces = std::max<int64_t>(1, bytes / (kPiece * int64_t{sizeof(float)}));
  const std::unique_ptr<float[]> data(new (std::nothrow) float[static_cast<size_t>(pieces * kPiece)]);
  if (data == nullptr) ThrowFailure("no memory to measure the bandwidth with ({} MiB)", pieces);
  // Written by the threads, so that each page is really there.
  pool.ParallelFor(pieces, [&](int64_t i, int) { std::fill_n(data.get() + i * kPiece, kPiece, 1.f); });
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    std::atomic<int64_t> wrong = 0;
    const double start = WallSeconds();
    pool.ParallelFor(pieces, [&](int64_t i, int) {
      if (!(read_all(data.get() + i * kPiece, kPiece) > 0)) ++wrong;
    });
    const double seconds = WallSeconds() - start;
    if (wrong > 0) ThrowFailure("the memory holds something else than was written");
    best = std::max(best, static_cast<double>(pieces * kPiece * int64_t{sizeof(float)}) / seconds);
  }
  return best;
}

}  // namespace sputnik
#endif
