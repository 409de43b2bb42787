#include "kernel/peak.h"

#include <gtest/gtest.h>

#include "kernel/backend.h"

namespace sputnik {
namespace {

TEST(Peak, IsWhatAProcessorCanDo) {
  ThreadPool one(1);
  const double peak = MeasurePeakFlops(one);
  // From a slow core without SIMD to far beyond any.
  EXPECT_GT(peak, 1e8);
  EXPECT_LT(peak, 2e12);
}

TEST(Peak, CountsEveryThread) {
  ThreadPool one(1), two(2);
  if (ThreadPool::AvailableProcessors() < 2) GTEST_SKIP() << "one processor only";
  // Two threads of one core may share its units; no fewer than one thread's share, no more than two of them.
  const double single = MeasurePeakFlops(one), both = MeasurePeakFlops(two);
  EXPECT_GT(both, 0.8 * single);
  EXPECT_LT(both, 2.5 * single);
}

TEST(Peak, WiderVectorsAreNotSlower) {
  const std::vector<std::string> targets = SimdTargets();
  if (targets.size() < 2 || targets.front() == "SSE4") GTEST_SKIP() << "one width only";
  ThreadPool one(1);
  const double widest = MeasurePeakFlops(one);
  UseSimdTarget(targets.back());
  const double narrowest = MeasurePeakFlops(one);
  UseSimdTarget("");
  EXPECT_GT(widest, 1.5 * narrowest) << targets.front() << " against " << targets.back();
}

TEST(ReadBandwidth, IsWhatAMemoryCanDo) {
  ThreadPool one(1);
  const double bytes = MeasureReadBandwidth(one, int64_t{64} << 20);
  EXPECT_GT(bytes, 1e8);
  EXPECT_LT(bytes, 2e12);
}

}  // namespace
}  // namespace sputnik
