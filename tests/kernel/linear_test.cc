// The cpu machine's products equal the float reference bit for bit in every target; the float reference is within its
// rounding bound of the double one; and the reference is checked by hand.
#include "kernel/reference/linear.h"

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernel/cpu/linear.h"

namespace sputnik {
namespace {

using LinearFunction = void (*)(const LinearArgs&, ThreadPool&);
using GroupedFunction = void (*)(const GroupedLinearArgs&, ThreadPool&);

enum Product { kForward, kInput, kWeight };
constexpr Product kProducts[] = {kForward, kInput, kWeight};
constexpr LinearFunction kReference[] = {reference::Linear, reference::LinearBackwardInput,
                                         reference::LinearBackwardWeight};
constexpr LinearFunction kCpu[] = {cpu::Linear, cpu::LinearBackwardInput, cpu::LinearBackwardWeight};
constexpr GroupedFunction kReferenceGrouped[] = {reference::GroupedLinear, reference::GroupedLinearBackwardInput,
                                                 reference::GroupedLinearBackwardWeight};
constexpr GroupedFunction kCpuGrouped[] = {cpu::GroupedLinear, cpu::GroupedLinearBackwardInput,
                                           cpu::GroupedLinearBackwardWeight};

// The targets of this processor that must agree to the last bit: those with fused multiply-add.
std::vector<int64_t> FusedTargets() {
  std::vector<int64_t> targets;
  for (int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
    const int64_t target = left & -left;
#if HWY_ARCH_X86
    if (target == HWY_AVX2 || target == HWY_AVX3) targets.push_back(target);
#else
    if (target == HWY_NEON) targets.push_back(target);
#endif
  }
  return targets;
}

class ForTarget {
 public:
  explicit ForTarget(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ~ForTarget() {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

// Operands of rows x inputs, outputs x inputs, rows x outputs, each with some distance between its rows. What lies
// between rows is a pattern that must survive.
struct Operands {
  int64_t rows, outputs, inputs, x_stride, w_stride, y_stride;
  std::vector<float> x, w, y;
  std::vector<uint16_t> w16;

  Operands(int64_t rows_, int64_t outputs_, int64_t inputs_, int64_t gap, uint32_t seed)
      : rows(rows_),
        outputs(outputs_),
        inputs(inputs_),
        x_stride(inputs + gap),
        w_stride(inputs + 2 * gap),
        y_stride(outputs + gap) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> uniform(-1, 1);
    const auto fill = [&](std::vector<float>& v, int64_t n, int64_t stride, int64_t width) {
      // Exactly as long as needed, so that a sanitizer sees any read past the last element.
      v.resize(static_cast<size_t>(n == 0 ? 0 : (n - 1) * stride + width));
      for (float& f : v) f = uniform(random);
    };
    fill(x, rows, x_stride, inputs);
    fill(w, outputs, w_stride, inputs);
    fill(y, rows, y_stride, outputs);
    for (float f : w) w16.push_back(BF16FromFloat(f));
  }

  LinearArgs Args(bool bf16, bool accumulate) {
    return {.dtype = DType::kF32,
            .weight_dtype = bf16 ? DType::kBF16 : DType::kF32,
            .rows = rows,
            .outputs = outputs,
            .inputs = inputs,
            .x = x.data(),
            .x_stride = x_stride,
            .w = bf16 ? static_cast<void*>(w16.data()) : w.data(),
            .w_stride = w_stride,
            .y = y.data(),
            .y_stride = y_stride,
            .accumulate = accumulate};
  }
  std::vector<float>& Output(Product product) { return product == kForward ? y : product == kInput ? x : w; }
};

// Index of the first element whose bits differ, or -1.
int64_t FirstDifference(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size()) return 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return static_cast<int64_t>(i);
  }
  return -1;
}

void ExpectEqualToReference(const Operands& operands, Product product, bool bf16, bool accumulate,
                            const std::vector<ThreadPool*>& pools) {
  Operands expected = operands;
  kReference[product](expected.Args(bf16, accumulate), *pools[0]);
  for (ThreadPool* pool : pools) {
    Operands actual = operands;
    kCpu[product](actual.Args(bf16, accumulate), *pool);
    for (Product p : kProducts) {  // the output is right, the inputs are untouched
      ASSERT_EQ(FirstDifference(expected.Output(p), actual.Output(p)), -1)
          << "product " << product << (bf16 ? " bf16" : "") << (accumulate ? " accumulate" : "") << ", rows "
          << operands.rows << ", outputs " << operands.outputs << ", inputs " << operands.inputs << ", x_stride "
          << operands.x_stride << ", threads " << pool->size() << ", target "
          << hwy::TargetName(hwy::SupportedTargets() & -hwy::SupportedTargets());
    }
  }
}

class LinearTest : public ::testing::Test {
 protected:
  ThreadPool one_{1}, two_{2}, three_{3};
  std::vector<ThreadPool*> pools_{&one_, &two_, &three_};
};

TEST_F(LinearTest, ByHand) {
  for (const auto& products : {kReference, kCpu}) {
    float x[] = {1, 2, 3, 4, 5, 6}, w[] = {1, 0, -1, 2, 1, 0}, y[] = {10, 20, 30, 40};
    LinearArgs args{.rows = 2,
                    .outputs = 2,
                    .inputs = 3,
                    .x = x,
                    .x_stride = 3,
                    .w = w,
                    .w_stride = 3,
                    .y = y,
                    .y_stride = 2,
                    .accumulate = true};
    products[kForward](args, one_);
    EXPECT_EQ((std::vector<float>(y, y + 4)), (std::vector<float>{8, 24, 28, 53}));
    args.accumulate = false;
    products[kForward](args, one_);
    EXPECT_EQ((std::vector<float>(y, y + 4)), (std::vector<float>{-2, 4, -2, 13}));
    products[kWeight](args, one_);
    EXPECT_EQ((std::vector<float>(w, w + 6)), (std::vector<float>{-10, -14, -18, 56, 73, 90}));
    products[kInput](args, one_);
    EXPECT_EQ((std::vector<float>(x, x + 3)), (std::vector<float>{244, 320, 396}));
  }
}

// The chain is fused and ascending: both would show here.
TEST_F(LinearTest, ChainIsFusedAndAscending) {
  const float tiny = std::ldexp(1.0f, -30), one_up = 1 + std::ldexp(1.0f, -12);
  float x[] = {one_up, 1, 1}, w[] = {one_up, -1 - std::ldexp(1.0f, -11), tiny}, y = 0;
  const LinearArgs args{
      .rows = 1, .outputs = 1, .inputs = 3, .x = x, .x_stride = 3, .w = w, .w_stride = 3, .y = &y, .y_stride = 1};
  const float expected = std::fma(1.0f, tiny, std::fma(1.0f, w[1], one_up * one_up));
  reference::Linear(args, one_);
  EXPECT_EQ(y, expected);
  for (int64_t target : FusedTargets()) {
    const ForTarget scope(target);
    y = 0;
    cpu::Linear(args, one_);
    EXPECT_EQ(y, expected);
  }
  // The last product enters unrounded: fused 2^-24 survives, a rounded product would leave 0.
  float xf[] = {-one_up * one_up, one_up}, wf[] = {1, one_up};
  const LinearArgs fused{
      .rows = 1, .outputs = 1, .inputs = 2, .x = xf, .x_stride = 2, .w = wf, .w_stride = 2, .y = &y, .y_stride = 1};
  reference::Linear(fused, one_);
  EXPECT_EQ(y, std::ldexp(1.0f, -24));
}

TEST_F(LinearTest, EqualsReferenceOnRandomShapes) {
  std::mt19937 random(7);
  for (int64_t target : FusedTargets()) {
    const ForTarget scope(target);
    for (int round = 0; round < 400; ++round) {
      const auto size = [&] { return static_cast<int64_t>(1 + random() % 70); };
      const Operands operands(size(), size(), size(), static_cast<int64_t>(random() % 4),
                              static_cast<uint32_t>(random()));
      const Product product = kProducts[random() % 3];
      const bool bf16 = product != kWeight && random() % 3 == 0;
      ExpectEqualToReference(operands, product, bf16, random() % 2 == 0, pools_);
      if (HasFatalFailure()) return;
    }
  }
}

// Several depth blocks, several column blocks, tails of each kind, work for several threads, and rows of weights that
// are a multiple of 4 KB apart.
TEST_F(LinearTest, EqualsReferenceOnLargeShapes) {
  constexpr int64_t kShapes[][4] = {{300, 130, 600, 0}, {257, 1100, 70, 3}, {130, 64, 1030, 0}, {64, 600, 1024, 0},
                                    {14, 300, 2048, 0}, {6, 200, 4300, 1},  {1, 1000, 515, 0},  {3, 333, 8195, 0},
                                    {2000, 64, 64, 0},  {900, 33, 17, 5},   {15, 520, 256, 0},  {7, 64, 1024, 0}};
  for (int64_t target : FusedTargets()) {
    const ForTarget scope(target);
    for (const auto& [rows, outputs, inputs, gap] : kShapes) {
      const Operands operands(rows, outputs, inputs, gap, 3);
      for (Product product : kProducts) {
        for (bool bf16 : {false, true}) {
          if (bf16 && product == kWeight) continue;
          ExpectEqualToReference(operands, product, bf16, !bf16, pools_);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// A row's result depends on that row alone: any subset of rows gives the same bits, down to one.
TEST_F(LinearTest, RowsDoNotDependOnEachOther) {
  for (int64_t target : FusedTargets()) {
    const ForTarget scope(target);
    for (bool bf16 : {false, true}) {
      Operands whole(200, 150, 300, 0, 11);
      for (Product product : {kForward, kInput}) {
        kCpu[product](whole.Args(bf16, false), two_);
        for (int64_t rows : {1, 2, 5, 14, 15, 16, 31, 64, 99}) {
          const int64_t begin = 200 - rows;
          Operands part = whole;
          LinearArgs args = part.Args(bf16, false);
          args.rows = rows;
          args.x = part.x.data() + begin * part.x_stride;
          args.y = part.y.data() + begin * part.y_stride;
          std::vector<float>& output = part.Output(product);
          const int64_t from = begin * (product == kForward ? part.y_stride : part.x_stride);
          std::fill(output.begin() + from, output.end(), std::numeric_limits<float>::quiet_NaN());
          kCpu[product](args, rows % 2 == 0 ? two_ : one_);
          ASSERT_EQ(FirstDifference(whole.Output(product), output), -1) << rows << " rows, product " << product;
        }
      }
    }
  }
}

TEST_F(LinearTest, GroupsEqualReference) {
  const std::vector<std::vector<int32_t>> kStarts = {
      {0, 100, 100, 101, 116, 400}, {0, 0, 0, 0}, {5, 30, 70, 90, 130, 131, 145, 300, 300, 420}, {0, 500}};
  for (int64_t target : FusedTargets()) {
    const ForTarget scope(target);
    for (const auto& starts : kStarts) {
      const auto groups = static_cast<int64_t>(starts.size()) - 1;
      for (const auto& size : {std::pair<int64_t, int64_t>{96, 140}, {37, 64}, {64, 300}}) {
        const int64_t outputs = size.first, inputs = size.second;
        for (Product product : kProducts) {
          for (int variant = 0; variant < 4; ++variant) {
            const bool bf16 = variant >= 2, accumulate = variant % 2 == 1;
            if (bf16 && product == kWeight) continue;
            Operands all(std::max<int64_t>(starts.back(), 1), outputs, inputs, 1, 6);
            Operands weights(1, groups * outputs, inputs, 1, 7);
            const auto run = [&](const GroupedFunction* functions, ThreadPool& pool, Operands& o, Operands& w) {
              std::vector<void*> pointers;
              for (int64_t g = 0; g < groups; ++g) {
                const int64_t offset = g * outputs * w.w_stride;
                pointers.push_back(bf16 ? static_cast<void*>(w.w16.data() + offset) : w.w.data() + offset);
              }
              functions[product]({.weight_dtype = bf16 ? DType::kBF16 : DType::kF32,
                                  .groups = groups,
                                  .group_start = starts.data(),
                                  .outputs = outputs,
                                  .inputs = inputs,
                                  .x = o.x.data(),
                                  .x_stride = o.x_stride,
                                  .w = pointers.data(),
                                  .w_stride = w.w_stride,
                                  .y = o.y.data(),
                                  .y_stride = o.y_stride,
                                  .accumulate = accumulate},
                                 pool);
            };
            Operands expected = all, expected_weights = weights;
            run(kReferenceGrouped, one_, expected, expected_weights);
            for (ThreadPool* pool : pools_) {
              Operands actual = all, actual_weights = weights;
              run(kCpuGrouped, *pool, actual, actual_weights);
              ASSERT_EQ(FirstDifference(expected.x, actual.x), -1) << "product " << product;
              ASSERT_EQ(FirstDifference(expected.y, actual.y), -1) << "product " << product;
              ASSERT_EQ(FirstDifference(expected_weights.w, actual_weights.w), -1) << "product " << product;
            }
          }
        }
      }
    }
  }
}

// Sums of nothing: zero, or the old value.
TEST_F(LinearTest, EmptyShapes) {
  for (const auto& products : {kReference, kCpu}) {
    float x[4] = {1, 2, 3, 4}, w[4] = {5, 6, 7, 8}, y[4] = {9, 9, 9, 9};
    LinearArgs args{.rows = 2,
                    .outputs = 2,
                    .inputs = 0,
                    .x = x,
                    .x_stride = 2,
                    .w = w,
                    .w_stride = 2,
                    .y = y,
                    .y_stride = 2,
                    .accumulate = true};
    products[kForward](args, two_);
    EXPECT_EQ(y[3], 9);
    args.accumulate = false;
    products[kForward](args, two_);
    EXPECT_EQ((std::vector<float>(y, y + 4)), (std::vector<float>{0, 0, 0, 0}));
    args.inputs = 2;
    args.rows = 0;
    products[kWeight](args, two_);
    EXPECT_EQ((std::vector<float>(w, w + 4)), (std::vector<float>{0, 0, 0, 0}));
    products[kForward](args, two_);
    args.rows = 2;
    args.outputs = 0;
    products[kInput](args, two_);
    EXPECT_EQ((std::vector<float>(x, x + 4)), (std::vector<float>{0, 0, 0, 0}));
  }
}

// |float - double| <= γ_k Σ|a b| with γ_k = k ε / (1 - k ε), ε half a unit in the last place (Higham 2002, §3.1; a
// fused chain of k steps rounds k times).
TEST_F(LinearTest, FloatReferenceIsWithinItsBoundOfDouble) {
  const Operands operands(40, 60, 500, 2, 9);
  const auto widen = [](const std::vector<float>& v) { return std::vector<double>(v.begin(), v.end()); };
  const auto magnitude = [](std::vector<double> v) {
    for (double& d : v) d = std::abs(d);
    return v;
  };
  for (Product product : kProducts) {
    Operands single = operands;
    kReference[product](single.Args(false, true), two_);
    const auto in_double = [&](bool absolute) {
      std::vector<double> x = widen(operands.x), w = widen(operands.w), y = widen(operands.y);
      if (absolute) x = magnitude(x), w = magnitude(w), y = magnitude(y);
      kReference[product]({.dtype = DType::kF64,
                           .weight_dtype = DType::kF64,
                           .rows = operands.rows,
                           .outputs = operands.outputs,
                           .inputs = operands.inputs,
                           .x = x.data(),
                           .x_stride = operands.x_stride,
                           .w = w.data(),
                           .w_stride = operands.w_stride,
                           .y = y.data(),
                           .y_stride = operands.y_stride,
                           .accumulate = true},
                          two_);
      return product == kForward ? y : product == kInput ? x : w;
    };
    const std::vector<double> exact = in_double(false), bound = in_double(true);
    const double steps = product == kForward ? 500 : product == kInput ? 60 : 40;
    const double gamma = steps * std::ldexp(1.0, -24) / (1 - steps * std::ldexp(1.0, -24));
    const std::vector<float>& rounded = single.Output(product);
    double largest = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double error = std::abs(rounded[i] - exact[i]);
      ASSERT_LE(error, gamma * bound[i] * (1 + 1e-6));
      largest = std::max(largest, error);
    }
    EXPECT_GT(largest, 0) << "the float path cannot be this exact";
  }
}

// BF16 weights count as their exact values on the double reference too.
TEST_F(LinearTest, Bf16WeightsInDouble) {
  Operands operands(5, 7, 9, 0, 4);
  std::vector<double> x(operands.x.begin(), operands.x.end()), y(operands.y.size()), expected(operands.y.size()), w;
  for (uint16_t bits : operands.w16) w.push_back(FloatFromBF16(bits));
  LinearArgs args{.dtype = DType::kF64,
                  .weight_dtype = DType::kBF16,
                  .rows = 5,
                  .outputs = 7,
                  .inputs = 9,
                  .x = x.data(),
                  .x_stride = 9,
                  .w = operands.w16.data(),
                  .w_stride = 9,
                  .y = y.data(),
                  .y_stride = 7};
  reference::Linear(args, one_);
  args.weight_dtype = DType::kF64;
  args.w = w.data();
  args.y = expected.data();
  reference::Linear(args, one_);
  EXPECT_EQ(y, expected);
}

// Without fused multiply-add the last bits may differ, no more.
TEST_F(LinearTest, TargetsWithoutFmaAreClose) {
#if HWY_ARCH_X86
  const ForTarget scope(HWY_SSE4);
  for (Product product : kProducts) {
    Operands expected(50, 70, 300, 1, 2), actual = expected;
    kReference[product](expected.Args(false, false), one_);
    kCpu[product](actual.Args(false, false), two_);
    for (size_t i = 0; i < expected.Output(product).size(); ++i) {
      ASSERT_NEAR(expected.Output(product)[i], actual.Output(product)[i], 1e-3);
    }
  }
#else
  GTEST_SKIP() << "every target here has fused multiply-add";
#endif
}

}  // namespace
}  // namespace sputnik
