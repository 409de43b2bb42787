#include "model/rotary.h"

#include <algorithm>
#include <cmath>

#include "base/elementary.h"

namespace sputnik {
namespace {

constexpr double kTwoPi = 6.283185307179586476925;

double Mscale(double factor, double m) { return factor > 1 && m != 0 ? 0.1 * m * Log(factor) + 1 : 1; }

template <class T>
void Fill(const std::vector<double>& frequencies, double magnitude, const Tensor& table) {
  for (int64_t position = 0; position < table.size(0); ++position) {
    T* row = table.as<T>() + position * table.stride(0);
    for (size_t i = 0; i < frequencies.size(); ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      row[2 * i] = static_cast<T>(magnitude * Cos(angle));
      row[2 * i + 1] = static_cast<T>(magnitude * Sin(angle));
    }
  }
}

}  // namespace

std::vector<double> RotaryFrequencies(const ModelConfig& config) {
  const auto dim = static_cast<double>(config.qk_rope_head_dim);
  const RopeScaling& yarn = config.rope_scaling;
  std::vector<double> frequencies;
  // The pair whose wavelength makes `rotations` turns over the original context.
  const auto pair_of = [&](double rotations) {
    return dim * Log(static_cast<double>(yarn.original_max_position_embeddings) / (rotations * kTwoPi)) /
           (2 * Log(config.rope_theta));
  };
  double low = 0, high = 0;
  if (yarn.factor > 0) {
    low = std::max(std::floor(pair_of(yarn.beta_fast)), 0.0);
    high = std::min(std::ceil(pair_of(yarn.beta_slow)), dim - 1);
    if (low == high) high += 0.001;
  }
  for (int64_t i = 0; i < config.qk_rope_head_dim / 2; ++i) {
    double frequency = Pow(config.rope_theta, -2.0 * static_cast<double>(i) / dim);
    if (yarn.factor > 0) {
      const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
      frequency = frequency * (1 - ramp) + frequency / yarn.factor * ramp;
    }
    frequencies.push_back(frequency);
  }
  return frequencies;
}

double RotaryMagnitude(const ModelConfig& config) {
  const RopeScaling& yarn = config.rope_scaling;
  return Mscale(yarn.factor, yarn.mscale) / Mscale(yarn.factor, yarn.mscale_all_dim);
}

void FillRotaryTable(const ModelConfig& config, const Tensor& table) {
  CHECK_EQ(table.size(1), config.qk_rope_head_dim);
  const std::vector<double> frequencies = RotaryFrequencies(config);
  const double magnitude = RotaryMagnitude(config);
  table.dtype() == DType::kF64 ? Fill<double>(frequencies, magnitude, table)
                               : Fill<float>(frequencies, magnitude, table);
}

}  // namespace sputnik
