#include "kernel/reference/elementary.h"

#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

// The distance of `value` from `truth` in units of truth's last float place.
double UnitsOff(float value, double truth) {
  return std::abs(static_cast<double>(value) - truth) / std::ldexp(1.0, std::max(std::ilogb(truth), -126) - 23);
}

TEST(Elementary, ExpIsAccurate) {
  double worst = 0;
  for (float x = -87.33f; x < 88.72f; x += 0.0013f) {
    worst = std::max(worst, UnitsOff(reference::Exp(x), std::exp(static_cast<double>(x))));
  }
  EXPECT_LT(worst, 1.1);
}

TEST(Elementary, ExpAtTheEnds) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(reference::Exp(0.0f), 1.0f);
  EXPECT_EQ(reference::Exp(-0.0f), 1.0f);
  EXPECT_EQ(reference::Exp(-87.4f), 0.0f);
  EXPECT_EQ(reference::Exp(-1e30f), 0.0f);
  EXPECT_EQ(reference::Exp(-infinity), 0.0f);
  EXPECT_GT(reference::Exp(-87.336f), 0.0f);
  EXPECT_LT(reference::Exp(88.722f), infinity);
  EXPECT_EQ(reference::Exp(89.0f), infinity);
  EXPECT_EQ(reference::Exp(infinity), infinity);
  EXPECT_TRUE(std::isnan(reference::Exp(std::numeric_limits<float>::quiet_NaN())));
}

TEST(Elementary, LogIsAccurate) {
  double worst = 0;
  for (float x = 1.2e-38f; x < 3e38f; x *= 1.0017f) {
    worst = std::max(worst, UnitsOff(reference::Log(x), std::log(static_cast<double>(x))));
  }
  for (float x = 0.9f; x < 1.1f; x += 1.7e-5f) {
    const double truth = std::log(static_cast<double>(x));
    if (truth != 0) worst = std::max(worst, UnitsOff(reference::Log(x), truth));
  }
  EXPECT_LT(worst, 1.0);
  EXPECT_EQ(std::bit_cast<uint32_t>(reference::Log(1.0f)), 0u);
}

TEST(Elementary, SigmoidSaturatesCleanly) {
  EXPECT_EQ(reference::Sigmoid(0.0f), 0.5f);
  EXPECT_EQ(reference::Sigmoid(200.0f), 1.0f);
  EXPECT_EQ(reference::Sigmoid(-200.0f), 0.0f);
  EXPECT_NEAR(reference::Sigmoid(1.0f), 0.7310585786, 1e-7);
}

// The order is the contract: lanes of i mod 16, then 8, 4, 2, 1 apart, on numbers whose sum depends on it.
TEST(Elementary, LaneSumFollowsItsOrder) {
  Values random(1);
  for (int64_t n : {1, 7, 16, 17, 100}) {
    const std::vector<float> x = random.Array<float>(n, -1e6f, 1e6f);
    float lane[16] = {};
    for (int64_t i = 0; i < n; ++i) lane[i % 16] += x[i];
    const auto four = [&](int i) { return (lane[i] + lane[i + 8]) + (lane[i + 4] + lane[i + 12]); };
    const float expected = (four(0) + four(2)) + (four(1) + four(3));
    reference::LaneSum<float> sum;
    for (float value : x) sum.Add(value);
    EXPECT_EQ(sum.Total(), expected);
  }
}

}  // namespace
}  // namespace sputnik::testing
