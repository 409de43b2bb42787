#include "tensor/widen.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"

namespace sputnik {
namespace {

// Files may put data anywhere: what is read is copied first, as nothing else may look at an unaligned number.
template <class Stored, class ToFloat>
void WidenEach(const std::byte* from, std::span<float> to, ToFloat to_float) {
  for (size_t i = 0; i < to.size(); ++i) {
    Stored value;
    std::memcpy(&value, from + i * sizeof(Stored), sizeof value);
    to[i] = to_float(value);
  }
}

constexpr std::array<float, 256> kEightBit = [] {
  std::array<float, 256> values{};
  for (size_t i = 0; i < values.size(); ++i) values[i] = FloatFromF8E4M3(static_cast<uint8_t>(i));
  return values;
}();

void WidenEightBit(const StoredTensor& from, const StoredTensor* scales, int64_t begin, std::span<float> to) {
  WidenEach<uint8_t>(from.data.data() + begin, to, [](uint8_t bits) { return kEightBit[bits]; });
  if (scales == nullptr) return;
  CHECK_EQ(from.shape.size(), size_t{2});
  const int64_t columns = from.shape[1], across = (columns + kScaleBlock - 1) / kScaleBlock;
  // Piece by piece of a row, each within one block.
  for (int64_t i = 0; i < static_cast<int64_t>(to.size());) {
    const int64_t row = (begin + i) / columns, column = (begin + i) % columns;
    const int64_t end = std::min((column / kScaleBlock + 1) * kScaleBlock, columns);
    const int64_t length = std::min(end - column, static_cast<int64_t>(to.size()) - i);
    const int64_t block = row / kScaleBlock * across + column / kScaleBlock;
    float scale = 0;
    std::memcpy(&scale, scales->data.data() + block * SizeOf(DType::kF32), sizeof scale);
    for (int64_t k = i; k < i + length; ++k) to[static_cast<size_t>(k)] *= scale;
    i += length;
  }
}

}  // namespace

void Widen(const StoredTensor& from, const StoredTensor* scales, int64_t begin, std::span<float> to) {
  CHECK_LE(begin + static_cast<int64_t>(to.size()), from.elements());
  const std::byte* first = from.data.data() + begin * SizeOf(from.dtype);
  switch (from.dtype) {
    case DType::kF32: std::memcpy(to.data(), first, to.size_bytes()); return;
    case DType::kBF16: return WidenEach<uint16_t>(first, to, FloatFromBF16);
    case DType::kF16: return WidenEach<uint16_t>(first, to, FloatFromF16);
    case DType::kF8E4M3: return WidenEightBit(from, scales, begin, to);
    case DType::kF64:
    case DType::kI32: break;
  }
  CHECK(false);
}

void Narrow(std::span<const float> from, std::span<uint16_t> to) {
  CHECK_EQ(from.size(), to.size());
  std::transform(from.begin(), from.end(), to.begin(), BF16FromFloat);
}

}  // namespace sputnik
