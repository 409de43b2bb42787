#include "op/pointwise.h"

#include <numeric>

#include "kernel/backend.h"
#include "tests/support/machines.h"
#include "tests/support/op_cases.h"

namespace sputnik {

SPUTNIK_OP_TESTS(Pointwise, "pointwise");

namespace {

class PointwiseTest : public testing::Test {
 protected:
  ThreadPool pool_{2};
  Arena arena_{1 << 20};
};

TEST_F(PointwiseTest, GatherWidensBF16) {
  uint16_t table[] = {BF16FromFloat(1.5f), BF16FromFloat(-2.f), BF16FromFloat(0.25f), BF16FromFloat(3e30f)};
  const int32_t index[] = {1, 0, 1};
  for (const std::string& machine : AvailableMachines()) {
    Pass pass({KernelsFor(machine), pool_}, arena_);
    const Tensor y = Gather(pass, Tensor(table, DType::kBF16, {2, 2}), index, 3);
    const float expected[] = {0.25f, FloatFromBF16(table[3]), 1.5f, -2.f, 0.25f, FloatFromBF16(table[3])};
    for (int i = 0; i < 6; ++i) EXPECT_EQ(y.as<float>()[i], expected[i]) << machine;
  }
}

TEST_F(PointwiseTest, StoreRowsWritesOnlyItsRows) {
  for (const std::string& machine : AvailableMachines()) {
    Pass pass({KernelsFor(machine), pool_}, arena_);
    std::vector<float> cache(5 * 4, -1.f);
    float rows[] = {1, 2, 3, 4};
    const int32_t index[] = {3, 0};
    // Into the two middle columns of the cache.
    StoreRows(pass, Tensor(rows, DType::kF32, {2, 2}), index, Tensor(cache.data(), DType::kF32, {5, 4}).Slice(1, 1, 2));
    const std::vector<float> expected = {-1, 3, 4, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 1, 2, -1, -1, -1, -1, -1};
    EXPECT_EQ(cache, expected) << machine;
  }
}

TEST_F(PointwiseTest, CopyHeadsMovesViews) {
  std::vector<float> from(3 * 2 * 5), to(3 * 2 * 4, -1.f);
  std::iota(from.begin(), from.end(), 0.f);
  Pass pass({KernelsFor("reference"), pool_}, arena_);
  CopyHeads(pass, Tensor(from.data(), DType::kF32, {3, 2, 5}).Slice(2, 2, 3),
            Tensor(to.data(), DType::kF32, {3, 2, 4}).Slice(2, 1, 3));
  for (size_t row = 0; row < 6; ++row) {
    EXPECT_EQ(to[row * 4], -1);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(to[row * 4 + 1 + i], from[row * 5 + 2 + i]);
  }
}

TEST_F(PointwiseTest, NoRowsAreNoTrouble) {
  for (const std::string& machine : AvailableMachines()) {
    Pass pass({KernelsFor(machine), pool_}, arena_);
    const Tensor none = pass.New(DType::kF32, {0, 6});
    EXPECT_EQ(Add(pass, none, none).elements(), 0);
    EXPECT_EQ(Swiglu(pass, none).size(1), 3);
    EXPECT_EQ(Gather(pass, none, nullptr, 0).size(0), 0);
  }
}

}  // namespace
}  // namespace sputnik
