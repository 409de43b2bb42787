#include "op/linear.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "tests/support/machines.h"
#include "tests/support/op_cases.h"

namespace sputnik {

SPUTNIK_OP_TESTS(Linear, "linear");

namespace {

std::vector<float> Numbers(size_t count, uint64_t seed) {
  Random random(seed, kStreamTest);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

class LinearTest : public testing::TestWithParam<std::string> {
 protected:
  ThreadPool pool_{2};
  Arena arena_{1 << 24};
  Pass pass_{{KernelsFor(GetParam()), pool_}, arena_};
};

TEST_P(LinearTest, ARowDoesNotKnowItsNeighbours) {
  constexpr int64_t kRows = 70, kInputs = 45, kOutputs = 33;
  std::vector<float> x = Numbers(kRows * kInputs, 1), w = Numbers(kOutputs * kInputs, 2);
  const Tensor rows(x.data(), DType::kF32, {kRows, kInputs}), weight(w.data(), DType::kF32, {kOutputs, kInputs});
  const Tensor all = Linear(pass_, rows, weight);
  for (const int64_t count : {1, 2, 3, 7, 16, 31}) {
    for (int64_t row = 0; row + count <= kRows; row += count) {
      const Tensor some = Linear(pass_, rows.Slice(0, row, count), weight);
      for (int64_t i = 0; i < count * kOutputs; ++i) {
        ASSERT_EQ(some.as<float>()[i], all.as<float>()[row * kOutputs + i]) << count << " rows from " << row;
      }
    }
  }
}

TEST_P(LinearTest, GroupsEqualTheirOwnProducts) {
  constexpr int64_t kInputs = 21, kOutputs = 18;
  const std::vector<int32_t> start = {0, 0, 5, 6, 40, 40};
  std::vector<float> x = Numbers(40 * kInputs, 3), w = Numbers(5 * kOutputs * kInputs, 4);
  const Tensor rows(x.data(), DType::kF32, {40, kInputs}), all(w.data(), DType::kF32, {5 * kOutputs, kInputs});
  std::vector<Tensor> weights;
  for (int64_t g = 0; g < 5; ++g) weights.push_back(all.Slice(0, g * kOutputs, kOutputs));
  const Tensor y = GroupedLinear(pass_, rows, start, weights);
  for (size_t g = 0; g < 5; ++g) {
    const Tensor own = Linear(pass_, rows.Slice(0, start[g], start[g + 1] - start[g]), weights[g]);
    for (int64_t i = 0; i < own.elements(); ++i) ASSERT_EQ(own.as<float>()[i], y.as<float>()[start[g] * kOutputs + i]);
  }
}

// Matrices apart give the bits of the one they are cut from, forward and back, also where one is bfloat16.
TEST_P(LinearTest, PartsEqualTheWhole) {
  constexpr int64_t kRows = 19, kInputs = 21, kOutputs = 34, kFirst = 9;
  std::vector<float> x = Numbers(kRows * kInputs, 5), w = Numbers(kOutputs * kInputs, 6);
  const std::vector<float> seed = Numbers(kRows * kOutputs, 7);
  std::vector<uint16_t> second(static_cast<size_t>((kOutputs - kFirst) * kInputs));
  for (size_t i = 0; i < second.size(); ++i) {
    float& value = w[kFirst * kInputs + i];
    second[i] = BF16FromFloat(value);
    value = FloatFromBF16(second[i]);
  }
  const auto run = [&](const std::vector<Tensor>& parts) {
    Tape tape(arena_);
    Pass pass({pass_.kernels, pool_}, arena_, &tape);
    GradientSlot slot{.data = nullptr, .elements = kRows * kInputs, .dtype = DType::kF32};
    const Tensor rows(x.data(), DType::kF32, {kRows, kInputs}, &slot);
    const Tensor y = Linear(pass, rows, parts);
    std::ranges::copy(seed, y.Gradient(arena_).span<float>().begin());
    tape.Backward();
    std::vector<float> all(y.span<float>().begin(), y.span<float>().end());
    const std::span<float> dx = rows.Gradient(arena_).span<float>();
    all.insert(all.end(), dx.begin(), dx.end());
    return all;
  };
  const Tensor whole(w.data(), DType::kF32, {kOutputs, kInputs});
  const Tensor first = whole.Slice(0, 0, kFirst), rest = whole.Slice(0, kFirst, kOutputs - kFirst);
  const Tensor half(second.data(), DType::kBF16, {kOutputs - kFirst, kInputs});
  const std::vector<float> expected = run({whole});
  EXPECT_EQ(run({first, rest}), expected);
  EXPECT_EQ(run({first, half}), expected);

  const std::vector<int32_t> start = {0, 8, 19};
  const std::vector<std::vector<Tensor>> groups = {{first, first}, {rest, rest}};
  const Tensor together = GroupedLinear(pass_, Tensor(x.data(), DType::kF32, {kRows, kInputs}), start, groups);
  EXPECT_TRUE(std::ranges::equal(together.span<float>(), std::span(expected).first(kRows * kOutputs)));
}

// Both products per head against sums in double; the error of a chain of n products is at most n epsilon ‖a‖ ‖b‖.
TEST_P(LinearTest, HeadwiseProductsEqualPlainOnes) {
  constexpr int64_t kTokens = 5, kHeads = 3, kA = 7, kB = 20;
  std::vector<float> w = Numbers(kHeads * (kA + 4) * kB, 5), x = Numbers(kTokens * kHeads * (kA + 2), 6),
                     z = Numbers(kTokens * kHeads * kB, 7);
  // The weights lie between others of their head, as U_k and U_v in kv_b_proj; x is a view too.
  const Tensor weight = Tensor(w.data(), DType::kF32, {kHeads, kA + 4, kB}).Slice(1, 3, kA);
  const Tensor a = Tensor(x.data(), DType::kF32, {kTokens, kHeads, kA + 2}).Slice(2, 1, kA);
  const Tensor b(z.data(), DType::kF32, {kTokens, kHeads, kB});
  const Tensor down = pass_.New(DType::kF32, {kTokens, kHeads, kB + 3}).Slice(2, 0, kB);
  const Tensor up = pass_.New(DType::kF32, {kTokens, kHeads, kA});
  HeadwiseDown(pass_, a, weight, down);
  HeadwiseUp(pass_, b, weight, up);
  const auto at = [](const Tensor& t, int64_t i, int64_t j, int64_t k) {
    return static_cast<double>(t.as<float>()[i * t.stride(0) + j * t.stride(1) + k]);
  };
  for (int64_t n = 0; n < kTokens; ++n) {
    for (int64_t h = 0; h < kHeads; ++h) {
      for (int64_t j = 0; j < kB; ++j) {
        double sum = 0, x2 = 0, w2 = 0;
        for (int64_t i = 0; i < kA; ++i) {
          sum += at(a, n, h, i) * at(weight, h, i, j);
          x2 += at(a, n, h, i) * at(a, n, h, i);
          w2 += at(weight, h, i, j) * at(weight, h, i, j);
        }
        EXPECT_NEAR(at(down, n, h, j), sum, kA * 0x1p-24 * std::sqrt(x2 * w2));
      }
      for (int64_t i = 0; i < kA; ++i) {
        double sum = 0, x2 = 0, w2 = 0;
        for (int64_t j = 0; j < kB; ++j) {
          sum += at(b, n, h, j) * at(weight, h, i, j);
          x2 += at(b, n, h, j) * at(b, n, h, j);
          w2 += at(weight, h, i, j) * at(weight, h, i, j);
        }
        EXPECT_NEAR(at(up, n, h, i), sum, kB * 0x1p-24 * std::sqrt(x2 * w2));
      }
    }
  }
}

TEST_P(LinearTest, StoredBF16WeightsAreWidenedExactly) {
  std::vector<float> x = Numbers(6 * 19, 8), w = Numbers(9 * 19, 9);
  std::vector<uint16_t> stored;
  for (float& value : w) {
    stored.push_back(BF16FromFloat(value));
    value = FloatFromBF16(stored.back());
  }
  const Tensor rows(x.data(), DType::kF32, {6, 19});
  const Tensor wide = Linear(pass_, rows, Tensor(w.data(), DType::kF32, {9, 19}));
  const Tensor narrow = Linear(pass_, rows, Tensor(stored.data(), DType::kBF16, {9, 19}));
  for (int64_t i = 0; i < wide.elements(); ++i) EXPECT_EQ(wide.as<float>()[i], narrow.as<float>()[i]);
}

TEST_P(LinearTest, NoRows) {
  std::vector<float> w = Numbers(9 * 4, 9);
  const Tensor y = Linear(pass_, pass_.New(DType::kF32, {0, 4}), Tensor(w.data(), DType::kF32, {9, 4}));
  EXPECT_EQ(y.size(0), 0);
  EXPECT_EQ(y.size(1), 9);
}

INSTANTIATE_TEST_SUITE_P(Machines, LinearTest, testing::ValuesIn(AvailableMachines()),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace sputnik
