#include "op/norm.h"

#include "kernel/backend.h"
#include "tests/support/op_cases.h"

namespace sputnik {

SPUTNIK_OP_TESTS(Norm, "norm");

namespace {

TEST(NormTest, HandChecked) {
  double x[] = {3, 4, 0, 0}, gain[] = {1, 2, 3, 4};
  ThreadPool pool(1);
  Arena arena(1 << 20);
  Pass pass({KernelsFor("reference"), pool}, arena);
  const Tensor y = RmsNorm(pass, Tensor(x, DType::kF64, {1, 4}), Tensor(gain, DType::kF64, {4}), 0);
  // mean of squares 25/4
  EXPECT_DOUBLE_EQ(y.as<double>()[0], 3 / 2.5);
  EXPECT_DOUBLE_EQ(y.as<double>()[1], 2 * 4 / 2.5);
  EXPECT_EQ(y.as<double>()[2], 0);
}

TEST(NormTest, EpsilonKeepsZerosFinite) {
  float x[] = {0, 0, 0}, gain[] = {1, 1, 1};
  ThreadPool pool(1);
  Arena arena(1 << 20);
  Pass pass({KernelsFor("reference"), pool}, arena);
  const Tensor y = RmsNorm(pass, Tensor(x, DType::kF32, {1, 3}), Tensor(gain, DType::kF32, {3}), 1e-6);
  for (const float value : y.span<float>()) EXPECT_EQ(value, 0);
}

}  // namespace
}  // namespace sputnik
