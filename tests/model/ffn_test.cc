#include "model/ffn.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "kernel/backend.h"

namespace sputnik {
namespace {

class FfnTest : public testing::TestWithParam<bool> {};

TEST_P(FfnTest, DownOfSiluGateTimesUp) {
  const bool biased = GetParam();
  constexpr int64_t kRows = 3, kIn = 4, kWidth = 5;
  Random random(1, kStreamTest);
  std::vector<double> gate_up(2 * kWidth * kIn), down(kIn * kWidth), x(kRows * kIn), bias(2 * kWidth + kIn);
  for (auto* values : {&gate_up, &down, &x}) {
    for (double& value : *values) value = random.Normal();
  }
  for (double& value : bias) value = biased ? random.Normal() : 0;
  ThreadPool pool(1);
  Arena arena(1 << 20);
  Pass pass({KernelsFor("reference"), pool}, arena);
  FfnWeights weights{Tensor(gate_up.data(), DType::kF64, {2 * kWidth, kIn}),
                     Tensor(down.data(), DType::kF64, {kIn, kWidth})};
  if (biased) {
    weights.gate_bias = Tensor(bias.data(), DType::kF64, {kWidth});
    weights.up_bias = Tensor(bias.data() + kWidth, DType::kF64, {kWidth});
    weights.down_bias = Tensor(bias.data() + 2 * kWidth, DType::kF64, {kIn});
  }
  const Tensor y = Ffn(pass, weights, Tensor(x.data(), DType::kF64, {kRows, kIn}));
  const auto dot = [&](int64_t w_row, int64_t row) {
    double sum = bias[static_cast<size_t>(w_row)];
    for (int64_t i = 0; i < kIn; ++i)
      sum += gate_up[static_cast<size_t>(w_row * kIn + i)] * x[static_cast<size_t>(row * kIn + i)];
    return sum;
  };
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t o = 0; o < kIn; ++o) {
      double expected = bias[static_cast<size_t>(2 * kWidth + o)];
      for (int64_t j = 0; j < kWidth; ++j) {
        const double gate = dot(j, row), up = dot(kWidth + j, row);
        expected += down[static_cast<size_t>(o * kWidth + j)] * gate / (1 + std::exp(-gate)) * up;
      }
      EXPECT_NEAR(y.as<double>()[row * kIn + o], expected, 1e-13);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Biases, FfnTest, testing::Bool());

}  // namespace
}  // namespace sputnik
