#include "model/rotary.h"

#include <algorithm>
#include <cmath>

#include "base/elementary.h"

namespace sputnik {
namespace {

constexpr double kTwoPi = 6.283185307179586476925;
constexpr int64_t kBlock = 256;  // rows that are filled together

double Mscale(double factor, double m) { return factor > 1 && m != 0 ? 0.1 * m * Log(factor) + 1 : 1; }

// Rows [begin, end) of the table.
template <class T>
void FillRows(const ModelConfig& config, const Tensor& table, int64_t begin, int64_t end) {
  const std::vector<double> frequencies = RotaryFrequencies(config);
  const double magnitude = RotaryMagnitude(config);
  const bool halves = config.RotatesHalves();
  const size_t pairs = frequencies.size(), step = halves ? 1 : 2, partner = halves ? pairs : 1;
  for (int64_t position = begin; position < end; ++position) {
    T* row = table.as<T>() + position * table.stride(0);
    for (size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * frequencies[i];
      row[step * i] = static_cast<T>(magnitude * Cos(angle));
      row[step * i + partner] = static_cast<T>(magnitude * Sin(angle));
    }
  }
}

void FillRows(const ModelConfig& config, const Tensor& table, int64_t begin, int64_t end) {
  table.dtype() == DType::kF64 ? FillRows<double>(config, table, begin, end)
                               : FillRows<float>(config, table, begin, end);
}

// YaRN: pairs that turn fast keep their frequency, slow ones are divided by the factor, with a ramp over the pairs.
void StretchByYarn(const ModelConfig& config, std::vector<double>& frequencies) {
  const RopeScaling& yarn = config.rope_scaling;
  const auto dim = static_cast<double>(config.rotary_dim());
  // The pair whose wavelength makes `rotations` turns over the original context.
  const auto pair_of = [&](double rotations) {
    return dim * Log(static_cast<double>(yarn.original_max_position_embeddings) / (rotations * kTwoPi)) /
           (2 * Log(config.rope_theta));
  };
  const double low = std::max(std::floor(pair_of(yarn.beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_of(yarn.beta_slow)), dim - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] * (1 - ramp) + frequencies[i] / yarn.factor * ramp;
  }
}

// Llama 3.1: the same between two wavelengths, with a ramp over the turns that the original context holds.
void StretchByLlama3(const RopeScaling& scaling, std::vector<double>& frequencies) {
  for (double& frequency : frequencies) {
    const double turns = static_cast<double>(scaling.original_max_position_embeddings) * frequency / kTwoPi;
    const double kept =
        std::clamp((turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor), 0.0, 1.0);
    frequency = (1 - kept) * frequency / scaling.factor + kept * frequency;
  }
}

}  // namespace

std::vector<double> RotaryFrequencies(const ModelConfig& config) {
  const auto dim = static_cast<double>(config.rotary_dim());
  std::vector<double> frequencies;
  for (int64_t i = 0; i < config.rotary_dim() / 2; ++i) {
    frequencies.push_back(Pow(config.rope_theta, -2.0 * static_cast<double>(i) / dim));
  }
  const RopeScaling& scaling = config.rope_scaling;
  if (scaling.factor <= 0) return frequencies;
  if (scaling.type == "llama3") {
    StretchByLlama3(scaling, frequencies);
  } else if (scaling.type == "linear") {
    for (double& frequency : frequencies) frequency /= scaling.factor;
  } else {
    StretchByYarn(config, frequencies);
  }
  return frequencies;
}

double RotaryMagnitude(const ModelConfig& config) {
  const RopeScaling& yarn = config.rope_scaling;
  if (yarn.type != "yarn" || yarn.factor <= 0) return 1;
  if (yarn.attention_factor > 0) return yarn.attention_factor;
  if (yarn.mscale == 0 || yarn.mscale_all_dim == 0) return Mscale(yarn.factor, 1);
  return Mscale(yarn.factor, yarn.mscale) / Mscale(yarn.factor, yarn.mscale_all_dim);
}

void FillRotaryTable(const ModelConfig& config, const Tensor& table) {
  CHECK_EQ(table.size(1), config.rotary_dim());
  FillRows(config, table, 0, table.size(0));
}

RotaryTable::RotaryTable(const ModelConfig& config, DType dtype) : config_(config) {
  const int64_t positions = std::max(config.max_position_embeddings, config.position_range), dim = config.rotary_dim();
  memory_ = std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(positions * dim * SizeOf(dtype)));
  filled_ = std::make_unique<std::once_flag[]>(static_cast<size_t>((positions + kBlock - 1) / kBlock));
  table_ = Tensor(memory_.get(), dtype, {positions, dim});
}

const Tensor& RotaryTable::Covering(std::span<const int32_t> positions) const {
  for (const int32_t position : positions) {
    const int64_t block = position / kBlock;
    std::call_once(filled_[static_cast<size_t>(block)],
                   [&] { FillRows(config_, table_, block * kBlock, std::min((block + 1) * kBlock, table_.size(0))); });
  }
  return table_;
}

}  // namespace sputnik
