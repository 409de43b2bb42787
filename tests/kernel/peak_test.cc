#include "kernel/peak.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "kernel/backend.h"

namespace sputnik {
namespace {

TEST(Peak, IsWhatAProcessorCanDo) {
  ThreadPool one(1);
  const double start = WallSeconds();
  const double peak = MeasurePeakFlops(one);
  EXPECT_LT(WallSeconds() - start, 5) << "it must not hold up the start of a run";
  // From a slow core without SIMD to far beyond any.
  EXPECT_GT(peak, 1e8);
  EXPECT_LT(peak, 2e12);
}

TEST(Peak, WiderVectorsAreNotSlower) {
  const std::vector<std::string> targets = SimdTargets();
  if (targets.empty() || targets.front() == "SSE4" || targets.front() == "SSSE3") GTEST_SKIP() << "one target only";
  ThreadPool one(1);
  const double widest = MeasurePeakFlops(one);
  UseSimdTarget(targets.back());
  const double narrowest = MeasurePeakFlops(one);
  UseSimdTarget("");
  EXPECT_GT(widest, 1.3 * narrowest) << targets.front() << " against " << targets.back();
}

TEST(ReadBandwidth, IsWhatAMemoryCanDo) {
  ThreadPool one(1);
  const double bytes = MeasureReadBandwidth(one, int64_t{64} << 20);
  EXPECT_GT(bytes, 1e8);
  EXPECT_LT(bytes, 2e12);
}

}  // namespace
}  // namespace sputnik
