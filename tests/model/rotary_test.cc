#include "model/rotary.h"

#include <algorithm>
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

// Llama 3.1: wavelengths below original / high stay, those above original / low are multiplied by the factor, between
// them the share that stays grows with the number of turns.
TEST(RotaryTest, Llama3RampOverWavelengths) {
  const ModelConfig config = ConfigFromJson(kLlama32Json);
  const std::vector<double> frequencies = RotaryFrequencies(config);
  ASSERT_EQ(frequencies.size(), 32u);
  int kept = 0, stretched = 0;
  for (size_t i = 0; i < 32; ++i) {
    const double plain = std::pow(500000.0, -2.0 * static_cast<double>(i) / 64);
    const double wavelength = 2 * 3.14159265358979323846 / plain;
    double expected = plain;
    if (wavelength > 8192.0 / 1) {
      expected = plain / 32;
      ++stretched;
    } else if (wavelength > 8192.0 / 4) {
      const double smooth = (8192 / wavelength - 1) / (4 - 1);
      expected = (1 - smooth) * plain / 32 + smooth * plain;
    } else {
      ++kept;
    }
    EXPECT_NEAR(frequencies[i], expected, 1e-13 * plain) << i;
  }
  EXPECT_GT(kept, 5);
  EXPECT_GT(stretched, 5);
  EXPECT_LT(kept + stretched, 32);
  EXPECT_EQ(RotaryMagnitude(config), 1);
}

TEST(RotaryTest, LinearScalingDividesEveryFrequency) {
  ModelConfig config = ConfigFromJson(kLlama32Json), plain = config;
  plain.rope_scaling = {};
  config.rope_scaling = {.type = "linear", .factor = 4};
  const std::vector<double> divided = RotaryFrequencies(config), whole = RotaryFrequencies(plain);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(divided[i], whole[i] / 4);
  EXPECT_EQ(RotaryMagnitude(config), 1);
}

// Without mscale, as Qwen's configs have it; attention_factor overrules.
TEST(RotaryTest, YarnMagnitudeFollowsFromTheFactor) {
  ModelConfig config = ConfigFromJson(kQwen3Json);
  config.rope_scaling.factor = 4;
  EXPECT_NEAR(RotaryMagnitude(config), 0.1 * std::log(4.0) + 1, 1e-15);
  config.rope_scaling.attention_factor = 1.3;
  EXPECT_EQ(RotaryMagnitude(config), 1.3);
}

TEST(RotaryTest, HalvesHaveCosinesBeforeSines) {
  const ModelConfig config = ConfigFromJson(kQwen3Json);
  const std::vector<double> frequencies = RotaryFrequencies(config);
  std::vector<double> table(40 * 128);
  FillRotaryTable(config, Tensor(table.data(), DType::kF64, {40, 128}));
  for (size_t p = 0; p < 40; ++p) {
    for (size_t i = 0; i < 64; ++i) {
      EXPECT_NEAR(table[p * 128 + i], std::cos(static_cast<double>(p) * frequencies[i]), 1e-14);
      EXPECT_NEAR(table[p * 128 + 64 + i], std::sin(static_cast<double>(p) * frequencies[i]), 1e-14);
    }
  }
}

TEST(RotaryTest, RowsAreFilledWhenTheyAreNeeded) {
  ModelConfig config = ConfigFromJson(kQwen3Json);
  config.max_position_embeddings = 1000;
  std::vector<float> expected(1000 * 128);
  FillRotaryTable(config, Tensor(expected.data(), DType::kF32, {1000, 128}));
  const RotaryTable table(config, DType::kF32);
  for (const std::vector<int32_t>& positions : {std::vector<int32_t>{0}, {3, 999, 256}, {511, 512, 0}}) {
    const Tensor& rows = table.Covering(positions);
    EXPECT_EQ(rows.size(0), 1000);
    for (const int32_t p : positions) {
      EXPECT_TRUE(std::equal(expected.begin() + p * 128, expected.begin() + (p + 1) * 128, rows.as<float>() + p * 128))
          << p;
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
