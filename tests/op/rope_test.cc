#include "op/rope.h"

#include <cmath>

#include "kernel/backend.h"
#include "tests/support/op_cases.h"

namespace sputnik {

SPUTNIK_OP_TESTS(Rope, "rope");

namespace {

// Neighbouring columns are a pair; position p takes row p of the table; what is not rotated stays.
TEST(RopeTest, TurnsInterleavedPairs) {
  const double c = std::cos(0.5), s = std::sin(0.5);
  double table[] = {1, 0, 1, 0, c, s, 0, 1}, x[] = {7, 1, 2, 3, 4, 8};
  const int32_t positions[] = {1};
  ThreadPool pool(1);
  Arena arena(1 << 20);
  Pass pass({KernelsFor("reference"), pool}, arena);
  const Tensor row(x, DType::kF64, {1, 6});
  RopeInPlace(pass, row.Slice(1, 1, 4).SplitLast(1, 4), Tensor(table, DType::kF64, {2, 4}), positions);
  const double expected[] = {7, c - 2 * s, 2 * c + s, -4, 3, 8};  // the second pair by a right angle
  for (int i = 0; i < 6; ++i) EXPECT_NEAR(x[i], expected[i], 1e-15) << i;
}

}  // namespace
}  // namespace sputnik
