#include "model/rotary.h"

#include <cmath>

#include "tests/support/config_file.h"
#include "tests/support/published.h"

namespace sputnik {
namespace {

TEST(RotaryTest, PlainFrequencies) {
  const ModelConfig config = ConfigFromJson(kMoonlightJson);
  const std::vector<double> frequencies = RotaryFrequencies(config);
  ASSERT_EQ(frequencies.size(), 32u);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_NEAR(frequencies[i], std::pow(50000.0, -2.0 * static_cast<double>(i) / 64), 1e-14 * frequencies[i]);
  }
  EXPECT_EQ(RotaryMagnitude(config), 1);
}

// V3: pairs up to 10 keep their frequency, from 23 on it is divided by 40, and a straight ramp lies between.
TEST(RotaryTest, YarnRampOfV3) {
  const ModelConfig config = ConfigFromJson(kV3Json);
  const std::vector<double> frequencies = RotaryFrequencies(config);
  for (size_t i = 0; i < 32; ++i) {
    const double plain = std::pow(10000.0, -2.0 * static_cast<double>(i) / 64);
    const double ramp = i <= 10 ? 0 : i >= 23 ? 1 : (static_cast<double>(i) - 10) / 13;
    EXPECT_NEAR(frequencies[i], plain * (1 - ramp) + plain / 40 * ramp, 1e-14 * plain) << i;
  }
  EXPECT_EQ(RotaryMagnitude(config), 1);
}

TEST(RotaryTest, MagnitudeIsTheRatioOfBothMscales) {
  ModelConfig config = ConfigFromJson(kV3Json);
  config.rope_scaling.mscale_all_dim = 0.5;
  const double log = std::log(40.0);
  EXPECT_NEAR(RotaryMagnitude(config), (0.1 * log + 1) / (0.05 * log + 1), 1e-15);
  config.rope_scaling.mscale_all_dim = 0;
  EXPECT_NEAR(RotaryMagnitude(config), 0.1 * log + 1, 1e-15);
}

TEST(RotaryTest, TableHoldsCosineAndSine) {
  ModelConfig config = ConfigFromJson(kV3Json);
  config.rope_scaling.mscale_all_dim = 0.5;  // so that the magnitude shows
  config.qk_rope_head_dim = 6;
  const std::vector<double> frequencies = RotaryFrequencies(config);
  const double magnitude = RotaryMagnitude(config);
  std::vector<double> exact(1000 * 6);
  std::vector<float> rounded(1000 * 6);
  FillRotaryTable(config, Tensor(exact.data(), DType::kF64, {1000, 6}));
  FillRotaryTable(config, Tensor(rounded.data(), DType::kF32, {1000, 6}));
  for (size_t p = 0; p < 1000; ++p) {
    for (size_t i = 0; i < 3; ++i) {
      const double angle = static_cast<double>(p) * frequencies[i];
      EXPECT_NEAR(exact[p * 6 + 2 * i], magnitude * std::cos(angle), 1e-14);
      EXPECT_NEAR(exact[p * 6 + 2 * i + 1], magnitude * std::sin(angle), 1e-14);
      EXPECT_EQ(rounded[p * 6 + 2 * i], static_cast<float>(exact[p * 6 + 2 * i]));
    }
  }
}

// A ramp of no width (lo = hi) must not divide by zero.
TEST(RotaryTest, NarrowRampStaysFinite) {
  ModelConfig config = ConfigFromJson(kV3Json);
  config.qk_rope_head_dim = 2;
  config.rope_scaling.original_max_position_embeddings = 1;
  for (const double frequency : RotaryFrequencies(config)) EXPECT_TRUE(std::isfinite(frequency));
}

}  // namespace
}  // namespace sputnik
