#include "app/self_test.h"

#include <gtest/gtest.h>

#include "kernel/backend.h"

namespace sputnik {
namespace {

// The weights that every machine with fused multiply-adds must end with; SSE4 alone may differ (docs/numerics.md).
bool SameBitsHere() { return SimdTarget() == "AVX3" || SimdTarget() == "AVX2" || SimdTarget() == "NEON"; }

TEST(SelfTest, TheCpuComputesTheCommittedBits) {
  if (!SameBitsHere()) GTEST_SKIP() << "no fused multiply-add on " << SimdTarget();
  ThreadPool pool(2);
  EXPECT_EQ(SelfTestHash({KernelsFor("cpu"), pool}), kSelfTestGolden);
}

TEST(SelfTest, AnyNumberOfThreadsGivesTheSame) {
  ThreadPool one(1), three(3);
  EXPECT_EQ(SelfTestHash({KernelsFor("cpu"), one}), SelfTestHash({KernelsFor("cpu"), three}));
}

TEST(SelfTestSlow, TheReferenceComputesTheCommittedBits) {
  ThreadPool pool(2);
  EXPECT_EQ(SelfTestHash({KernelsFor("reference"), pool}), kSelfTestGolden);
}

}  // namespace
}  // namespace sputnik
