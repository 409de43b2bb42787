// Stored numbers as numbers to compute with. Every step from a narrow type to float32 is exact.
#pragma once

#include <span>

#include "tensor/safetensors.h"

namespace sputnik {

// Side of the square blocks in which DeepSeek's eight-bit weights share a scale; the last row and column of blocks may
// be cut off by the matrix's edge.
inline constexpr int64_t kScaleBlock = 128;

// Elements begin, begin + 1, … of a tensor of type F32, BF16, F16 or F8_E4M3. `scales` belongs to F8_E4M3 alone: one
// float32 per block of the matrix, [⌈rows / 128⌉, ⌈columns / 128⌉], by which its elements are multiplied; null: by 1.
void Widen(const StoredTensor& from, const StoredTensor* scales, int64_t begin, std::span<float> to);

// Rounds to nearest, ties to even (tensor/dtype.h).
void Narrow(std::span<const float> from, std::span<uint16_t> to);

}  // namespace sputnik
