#include "kernel/peak.h"

#include <algorithm>
#include <atomic>
#include <ctime>
#include <memory>
#include <new>
#include <numeric>
#include <thread>
#include <vector>

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
  // Equal chains would be computed once.
  auto c0 = hn::Set(d, 0.10f), c1 = hn::Set(d, 0.11f), c2 = hn::Set(d, 0.12f), c3 = hn::Set(d, 0.13f),
       c4 = hn::Set(d, 0.14f), c5 = hn::Set(d, 0.15f), c6 = hn::Set(d, 0.16f), c7 = hn::Set(d, 0.17f),
       c8 = hn::Set(d, 0.18f), c9 = hn::Set(d, 0.19f), c10 = hn::Set(d, 0.20f), c11 = hn::Set(d, 0.21f);
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

namespace {

// Processor time of the calling thread: other processes on the same cores do not lengthen it.
double ThreadSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Waits for the other threads of a round, so that neighbours on one core are measured while they share it. Not for
// long: on a busy machine some may not come.
void Meet(std::atomic<int>& arrived, int all) {
  constexpr double kLongest = 5e-3;
  arrived.fetch_add(1);
  const double start = WallSeconds();
  while (arrived.load() < all && WallSeconds() - start < kLongest) std::this_thread::yield();
}

}  // namespace

double MeasurePeakFlops(ThreadPool& pool) {
  SimdTarget();  // lets SPUTNIK_SIMD have its say
  const auto multiply_adds = HWY_DYNAMIC_DISPATCH(MultiplyAdds);
  const auto seconds_of = [&](int64_t steps, int64_t& operations) {
    float sink = 0;
    const double start = ThreadSeconds();
    operations = multiply_adds(steps, &sink);
    const double seconds = ThreadSeconds() - start;
    if (!(sink > 0)) ThrowFailure("the processor computes nonsense: a sum of positive numbers is {}", sink);
    return seconds;
  };
  // How many steps take long enough to be timed; this warms the processor up, too.
  constexpr double kRound = 3e-3;
  int64_t steps = 1000, operations = 0;
  while (seconds_of(steps, operations) < kRound / 2) steps *= 2;
  double best = 0;
  for (int round = 0; round < 8; ++round) {
    std::vector<double> rates(static_cast<size_t>(pool.size()), 0.0);
    std::atomic<int> arrived = 0;
    pool.ParallelFor(pool.size(), [&](int64_t task, int) {
      Meet(arrived, pool.size());
      int64_t done = 0;
      const double seconds = seconds_of(steps, done);
      rates[static_cast<size_t>(task)] = static_cast<double>(done) / std::max(seconds, 1e-9);
    });
    best = std::max(best, std::accumulate(rates.begin(), rates.end(), 0.0));
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
