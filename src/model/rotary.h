// The table of rotations: cos and sin of every position and frequency, with YaRN's frequencies when the config has
// them.
#pragma once

#include <vector>

#include "model/config.h"
#include "tensor/tensor.h"

namespace sputnik {

// Angular frequency of each pair, qk_rope_head_dim / 2 of them: theta^(-2i/D), blended by YaRN's ramp (YaRN §3.2).
std::vector<double> RotaryFrequencies(const ModelConfig& config);

// cos/sin of the table's columns are multiplied by this: YaRN's mscale ratio, 1 for every published DeepSeek config.
double RotaryMagnitude(const ModelConfig& config);

// Fills `table` [positions, qk_rope_head_dim], float32 or float64: cos, sin of pair i at columns 2i, 2i+1.
void FillRotaryTable(const ModelConfig& config, const Tensor& table);

}  // namespace sputnik
