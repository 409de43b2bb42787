#include "tensor/tensor.h"

#include <limits>
#include <numeric>

#include "tests/support/expect_error.h"

namespace sputnik {
namespace {

class TensorTest : public testing::Test {
 protected:
  // 0, 1, 2, … so that a value tells its own place.
  Tensor Counted(std::initializer_list<int64_t> shape, bool with_gradient = false) {
    const Tensor tensor = Tensor::New(arena_, DType::kF32, shape, with_gradient);
    const auto values = tensor.span<float>();
    std::iota(values.begin(), values.end(), 0.0f);
    return tensor;
  }
  Arena arena_{1 << 20};
};

float At(const Tensor& t, int64_t i, int64_t j) { return t.as<float>()[i * t.stride(0) + j * t.stride(1)]; }

TEST_F(TensorTest, SizesStridesAndNegativeAxes) {
  const Tensor t = Counted({2, 3, 4});
  EXPECT_EQ(t.rank(), 3);
  EXPECT_EQ(t.elements(), 24);
  EXPECT_EQ(t.size(0), 2);
  EXPECT_EQ(t.size(-1), 4);
  EXPECT_EQ(t.stride(0), 12);
  EXPECT_EQ(t.stride(-2), 4);
  EXPECT_EQ(t.stride(2), 1);
  EXPECT_TRUE(t.contiguous());
  EXPECT_TRUE(t.defined());
  EXPECT_FALSE(Tensor().defined());
}

TEST_F(TensorTest, ZerosAreZeroInMemoryUsedBefore) {
  {
    const ArenaScope scope(arena_);
    Counted({100});
  }
  for (const float value : Tensor::Zeros(arena_, DType::kF32, {10, 10}).span<float>()) EXPECT_EQ(value, 0);
}

TEST_F(TensorTest, SlicesSeeTheRightNumbers) {
  const Tensor t = Counted({4, 6});
  const Tensor rows = t.Slice(0, 1, 2);
  EXPECT_TRUE(rows.contiguous());
  EXPECT_EQ(At(rows, 0, 0), 6);
  const Tensor block = rows.Slice(-1, 2, 3);
  EXPECT_FALSE(block.contiguous());
  EXPECT_EQ(block.size(1), 3);
  EXPECT_EQ(At(block, 0, 0), 8);
  EXPECT_EQ(At(block, 1, 2), 16);
  EXPECT_TRUE(t.Slice(1, 0, 6).contiguous());
  EXPECT_TRUE(t.Slice(0, 3, 1).Slice(1, 2, 3).contiguous()) << "one row of a slice is contiguous";
}

TEST_F(TensorTest, ViewsAndSplits) {
  const Tensor t = Counted({4, 6});
  const Tensor flat = t.View({24});
  EXPECT_EQ(flat.span<float>()[23], 23);
  const Tensor heads = t.Slice(1, 2, 4).SplitLast(2, 2);
  EXPECT_EQ(heads.rank(), 3);
  EXPECT_EQ(heads.size(1), 2);
  EXPECT_EQ(heads.stride(0), 6);
  EXPECT_EQ(heads.stride(1), 2);
  const float* p = heads.as<float>();
  EXPECT_EQ(p[3 * heads.stride(0) + 1 * heads.stride(1) + 1], 3 * 6 + 2 + 2 + 1);
}

TEST_F(TensorTest, EmptyTensorsAreWhole) {
  const Tensor none = Tensor::New(arena_, DType::kF32, {0, 5});
  EXPECT_EQ(none.elements(), 0);
  EXPECT_TRUE(none.contiguous());
  const Tensor narrow = none.Slice(1, 1, 3);
  EXPECT_TRUE(narrow.contiguous()) << "a batch without tokens must pass everywhere";
  EXPECT_EQ(narrow.span<float>().size(), 0u);
  EXPECT_EQ(narrow.View({3, 0}).elements(), 0);
}

// The same view of the gradient: written through any view, seen through every other at the same place.
TEST_F(TensorTest, ViewsAndGradientsShareOffsets) {
  const Tensor root = Counted({4, 6}, true);
  const Tensor views[] = {root.Slice(0, 1, 3),
                          root.Slice(0, 1, 2).Slice(1, 2, 3),
                          root.View({2, 12}),
                          root.Slice(0, 2, 2).View({12}).Slice(0, 3, 4),
                          root.Slice(1, 2, 4).SplitLast(2, 2),
                          root.View({24}).Slice(0, 5, 6).View({2, 3})};
  const Tensor whole = root.Gradient(arena_);
  ASSERT_TRUE(whole.contiguous());
  for (const float value : whole.span<float>()) EXPECT_EQ(value, 0) << "a fresh gradient is zero";
  for (const Tensor& view : views) {
    const Tensor gradient = view.Gradient(arena_);
    EXPECT_FALSE(gradient.has_gradient());
    ASSERT_EQ(gradient.rank(), view.rank());
    for (int axis = 0; axis < view.rank(); ++axis) {
      EXPECT_EQ(gradient.size(axis), view.size(axis));
      EXPECT_EQ(gradient.stride(axis), view.stride(axis));
    }
    EXPECT_EQ(gradient.as<float>() - whole.as<float>(), view.as<float>() - root.as<float>());
  }
}

TEST_F(TensorTest, AGradientIsMadeOnceAndOnlyWhenAsked) {
  const Tensor root = Counted({8}, true);
  const int64_t used = arena_.used();
  const Tensor copy = root;
  EXPECT_EQ(arena_.used(), used);
  copy.Slice(0, 2, 1).Gradient(arena_).as<float>()[0] += 5;
  root.Gradient(arena_).as<float>()[2] += 1;
  EXPECT_EQ(copy.Gradient(arena_).as<float>()[2], 6);
  EXPECT_EQ(arena_.used(), used + 64);
}

TEST_F(TensorTest, DetachedHasNoGradient) {
  const Tensor root = Counted({4}, true);
  const Tensor cut = root.Slice(0, 1, 2).Detached();
  EXPECT_FALSE(cut.has_gradient());
  EXPECT_EQ(cut.as<float>(), root.as<float>() + 1);
  EXPECT_FALSE(Counted({4}).has_gradient());
}

TEST_F(TensorTest, OtherTypesHaveTheirOwnWidth) {
  const Tensor wide = Tensor::Zeros(arena_, DType::kF64, {3, 4}, true);
  EXPECT_EQ(wide.Slice(0, 1, 1).as<double>(), wide.as<double>() + 4);
  EXPECT_EQ(wide.Slice(0, 1, 1).Gradient(arena_).as<double>(), wide.Gradient(arena_).as<double>() + 4);
  const Tensor half = Tensor::New(arena_, DType::kBF16, {3, 4});
  EXPECT_EQ(static_cast<std::byte*>(half.Slice(0, 2, 1).data()) - static_cast<std::byte*>(half.data()), 16);
}

TEST_F(TensorTest, ShapesThatOverflowAreOutOfMemory) {
  constexpr int64_t kHuge = int64_t{1} << 40;
  ExpectError(ExitCode::kFailure, [&] { Tensor::New(arena_, DType::kF32, {kHuge, kHuge}); });
  ExpectError(ExitCode::kFailure, [&] { Tensor::Zeros(arena_, DType::kF64, {int64_t{1} << 61}); });
  ExpectError(ExitCode::kFailure, [&] { Tensor::New(arena_, DType::kF32, {kHuge, kHuge, kHuge}, true); });
}

using TensorDeathTest = TensorTest;

TEST_F(TensorDeathTest, MisuseIsABug) {
  const Tensor t = Counted({4, 6});
  EXPECT_DEATH(t.size(2), "CHECK failed");
  EXPECT_DEATH(t.size(-3), "CHECK failed");
  EXPECT_DEATH(t.Slice(0, 3, 2), "CHECK failed");
  EXPECT_DEATH(t.Slice(0, -1, 2), "CHECK failed");
  EXPECT_DEATH(t.View({5, 5}), "CHECK failed");
  EXPECT_DEATH(t.Slice(1, 0, 2).View({8}), "CHECK failed");
  EXPECT_DEATH(t.SplitLast(4, 2), "CHECK failed");
  EXPECT_DEATH(t.as<double>(), "CHECK failed");
  EXPECT_DEATH(t.Gradient(arena_), "CHECK failed");
  EXPECT_DEATH(Tensor::New(arena_, DType::kF32, {-1}), "CHECK failed");
}

}  // namespace
}  // namespace sputnik
