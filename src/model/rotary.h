// The table of rotations: cos and sin of every position and frequency, with the frequencies stretched as the config
// says.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "model/config.h"
#include "tensor/tensor.h"

namespace sputnik {

// Angular frequency of each pair, rotary_dim / 2 of them: theta^(-2i/D), blended by YaRN's ramp (YaRN §3.2), by Llama
// 3.1's ramp over wavelengths, or divided by the factor (linear).
std::vector<double> RotaryFrequencies(const ModelConfig& config);

// cos/sin of the table's columns are multiplied by this: YaRN's attention factor, 1 for every published DeepSeek
// config.
double RotaryMagnitude(const ModelConfig& config);

// Fills `table` [positions, rotary_dim], float32 or float64, in the layout that the model rotates by (RopeLayout in
// kernel/args.h): cos, sin of pair i at columns 2i, 2i+1; or at i, D/2 + i.
void FillRotaryTable(const ModelConfig& config, const Tensor& table);

// The table of one model. Long contexts have many positions and most runs use few of them, so rows are computed when a
// batch first needs them; any thread may ask.
class RotaryTable {
 public:
  RotaryTable(const ModelConfig& config, DType dtype);

  // [positions, rotary_dim], with the rows of `positions` filled.
  const Tensor& Covering(std::span<const int32_t> positions) const;

 private:
  ModelConfig config_;
  std::unique_ptr<std::byte[]> memory_;
  std::unique_ptr<std::once_flag[]> filled_;  // per kBlock rows
  Tensor table_;
};

}  // namespace sputnik
