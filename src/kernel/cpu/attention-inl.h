// The register tiles of attention, compiled once per SIMD target. Two shapes of product cover all seven of them:
//   ScoreTile       rows · packed keysᵀ: lanes are keys, each lane one chain over the dimensions
//   WeightedTile    weights · rows: lanes are dimensions, each lane one chain over the rows, ascending
#if defined(SPUTNIK_KERNEL_CPU_ATTENTION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPUTNIK_KERNEL_CPU_ATTENTION_INL_H_
#undef SPUTNIK_KERNEL_CPU_ATTENTION_INL_H_
#else
#define SPUTNIK_KERNEL_CPU_ATTENTION_INL_H_
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "kernel/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
namespace attention {
using namespace simd;

// A tile holds kTileRows rows by kTileGroups groups of 16 lanes in registers.
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
constexpr int kTileRows = 8, kTileGroups = 2;
#elif HWY_ARCH_ARM
constexpr int kTileRows = 6, kTileGroups = 1;
#else
constexpr int kTileRows = 6, kTileGroups = 1;
#endif
constexpr int64_t kBlock = kRowLanes;  // keys of a packed block: [dimensions][16]

// ---- packing
// ---------------------------------------------------------------------------------------------------------

// The vector whose 16-byte piece i holds four floats at `offset` of row 4i.
template <class Tag>
HWY_INLINE hn::Vec<Tag> LoadPieces(Tag tag, const float* const* rows, int64_t offset) {
  if constexpr (hn::MaxLanes(Tag()) == 4) {
    return hn::LoadU(tag, rows[0] + offset);
  } else {
    const hn::Half<Tag> half;
    return hn::Combine(tag, LoadPieces(half, rows + hn::MaxLanes(Tag()) / 2, offset), LoadPieces(half, rows, offset));
  }
}

// Transposes columns [column, column + dim) of 16 rows.
HWY_NOINLINE void PackBlock(const float* const* rows, int64_t column, int64_t dim, float* HWY_RESTRICT packed) {
  const D d;
  int64_t i = 0;
  for (; i + 4 <= dim; i += 4) {
    HWY_UNROLL(4)
    for (int u = 0; u < kParts; ++u) {
      const float* const* part = rows + u * kWidth;
      const V a = LoadPieces(d, part, column + i), b = LoadPieces(d, part + 1, column + i);
      const V c = LoadPieces(d, part + 2, column + i), e = LoadPieces(d, part + 3, column + i);
      const V ac_low = hn::InterleaveLower(d, a, c), ac_high = hn::InterleaveUpper(d, a, c);
      const V be_low = hn::InterleaveLower(d, b, e), be_high = hn::InterleaveUpper(d, b, e);
      float* to = packed + i * kBlock + u * kWidth;
      hn::StoreU(hn::InterleaveLower(d, ac_low, be_low), d, to);
      hn::StoreU(hn::InterleaveUpper(d, ac_low, be_low), d, to + kBlock);
      hn::StoreU(hn::InterleaveLower(d, ac_high, be_high), d, to + 2 * kBlock);
      hn::StoreU(hn::InterleaveUpper(d, ac_high, be_high), d, to + 3 * kBlock);
    }
  }
  for (; i < dim; ++i) {
    for (int64_t r = 0; r < kBlock; ++r) packed[i * kBlock + r] = rows[r][column + i];
  }
}

// ---- rows · packed keysᵀ
// -----------------------------------------------------------------------------------------------

// out[r][16 g + lane] = chain over i of rows[r][i] · packed[g][i][lane]
template <int kRows, int kGroups>
HWY_NOINLINE void ScoreTile(const float* const* rows, int64_t dim, const float* HWY_RESTRICT packed,
                            float* HWY_RESTRICT out, int64_t out_stride) {
  constexpr int kVectors = kGroups * kParts;
  const D d;
  V acc[kRows][kVectors];
  const float* row[kRows];
  HWY_UNROLL(16)
  for (int r = 0; r < kRows; ++r) {
    row[r] = rows[r];
    HWY_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::Zero(d);
  }
  const int64_t group_stride = dim * kBlock;
  for (int64_t i = 0; i < dim; ++i) {
    V keys[kVectors];
    HWY_UNROLL(4)
    for (int g = 0; g < kGroups; ++g) {
      HWY_UNROLL(4)
      for (int u = 0; u < kParts; ++u) {
        keys[g * kParts + u] = hn::Load(d, packed + g * group_stride + i * kBlock + u * kWidth);
      }
    }
    HWY_UNROLL(16)
    for (int r = 0; r < kRows; ++r) {
      const V value = hn::Set(d, row[r][i]);
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::MulAdd(value, keys[v], acc[r][v]);
    }
  }
  HWY_UNROLL(16)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) hn::StoreU(acc[r][v], d, out + r * out_stride + v * kWidth);
  }
}

// ---- weights · rows
// --------------------------------------------------------------------------------------------------

// Which of the steps k an output row takes: begin <= k < end. Both ascend from row to row of a tile.
struct Span {
  int64_t begin, end;
};

struct WeightedArgs {
  float* const* out = nullptr;     // a pointer per output row, to its first column of this tile
  const float* weights = nullptr;  // of row r at step k: weights[r * stride + k], or [k * stride + r] if adjacent
  int64_t weight_stride = 0;
  const float* const* rows = nullptr;  // a pointer per step
  int64_t column = 0;                  // of the rows, where the tile begins
  const Span* spans = nullptr;         // per output row
};

// out[r] += chain over its steps k of weight(r, k) · rows[k]
template <int kRows, int kVectors, bool kAdjacent, class Access>
HWY_INLINE void WeightedTileWith(const WeightedArgs& a, Access access) {
  const D d;
  const int64_t stride = a.weight_stride;
  const float* const* HWY_RESTRICT rows = a.rows;
  const int64_t column = a.column;
  V acc[kRows][kVectors];
  const float* weight[kRows];
  HWY_UNROLL(16)
  for (int r = 0; r < kRows; ++r) {
    weight[r] = a.weights + (kAdjacent ? r : r * stride);
    HWY_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) acc[r][v] = access.Load(a.out[r] + v * kWidth);
  }
  const int64_t step = kAdjacent ? stride : 1;
  const int64_t first = a.spans[0].begin, last = a.spans[kRows - 1].end;
  const int64_t common_begin = std::min(a.spans[kRows - 1].begin, last);
  const int64_t common_end = std::max(common_begin, a.spans[0].end);
  // Steps that only some of the rows take.
  const auto partly = [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t k = begin; k < end; ++k) {
      V right[kVectors];
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors; ++v) right[v] = access.Load(rows[k] + column + v * kWidth);
      HWY_UNROLL(16)
      for (int r = 0; r < kRows; ++r) {
        if (k < a.spans[r].begin || k >= a.spans[r].end) continue;
        const V left = hn::Set(d, weight[r][k * step]);
        HWY_UNROLL(16)
        for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::MulAdd(left, right[v], acc[r][v]);
      }
    }
  };
  partly(first, common_begin);
  for (int64_t k = common_begin; k < common_end; ++k) {
    V right[kVectors];
    HWY_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) right[v] = access.Load(rows[k] + column + v * kWidth);
    HWY_UNROLL(16)
    for (int r = 0; r < kRows; ++r) {
      const V left = hn::Set(d, weight[r][k * step]);
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors; ++v) acc[r][v] = hn::MulAdd(left, right[v], acc[r][v]);
    }
  }
  partly(common_end, last);
  HWY_UNROLL(16)
  for (int r = 0; r < kRows; ++r) {
    HWY_UNROLL(16)
    for (int v = 0; v < kVectors; ++v) access.Store(acc[r][v], a.out[r] + v * kWidth);
  }
}

template <int kRows, int kVectors, bool kAdjacent>
HWY_NOINLINE void WeightedTile(const WeightedArgs& a) {
  WeightedTileWith<kRows, kVectors, kAdjacent>(a, Whole{});
}
template <int kRows, bool kAdjacent>
HWY_NOINLINE void WeightedTail(const WeightedArgs& a, int64_t columns) {
  WeightedTileWith<kRows, 1, kAdjacent>(a, Tail{columns});
}

// ---- choice by size
// --------------------------------------------------------------------------------------------------

using ScoreFunction = void (*)(const float* const*, int64_t, const float*, float*, int64_t);
using WeightedFunction = void (*)(const WeightedArgs&);
using WeightedTailFunction = void (*)(const WeightedArgs&, int64_t);

template <int kGroups, size_t... kRow>
constexpr std::array<ScoreFunction, kTileRows> ScoreTilesOf(std::index_sequence<kRow...>) {
  return {&ScoreTile<static_cast<int>(kRow) + 1, kGroups>...};
}
template <int kVectors, bool kAdjacent, size_t... kRow>
constexpr std::array<WeightedFunction, kTileRows> WeightedTilesOf(std::index_sequence<kRow...>) {
  return {&WeightedTile<static_cast<int>(kRow) + 1, kVectors, kAdjacent>...};
}
template <bool kAdjacent, size_t... kRow>
constexpr std::array<WeightedTailFunction, kTileRows> WeightedTailsOf(std::index_sequence<kRow...>) {
  return {&WeightedTail<static_cast<int>(kRow) + 1, kAdjacent>...};
}

// Scores of `count` rows against `blocks` packed blocks.
HWY_INLINE void Scores(const float* const* rows, int64_t count, int64_t dim, const float* packed, int64_t blocks,
                       float* out, int64_t out_stride) {
  using Rows = std::make_index_sequence<kTileRows>;
  static constexpr auto kWide = ScoreTilesOf<kTileGroups>(Rows());
  static constexpr auto kNarrow = ScoreTilesOf<1>(Rows());
  int64_t block = 0;
  for (; block + kTileGroups <= blocks; block += kTileGroups) {
    kWide[count - 1](rows, dim, packed + block * dim * kBlock, out + block * kBlock, out_stride);
  }
  for (; block < blocks; ++block) {
    kNarrow[count - 1](rows, dim, packed + block * dim * kBlock, out + block * kBlock, out_stride);
  }
}

// Calls tile(column, columns) with the widths that WeightedColumns takes: a wide tile, a vector, or what is left.
constexpr int kWideVectors = kTileGroups * kParts;
HWY_INLINE int64_t NextColumns(int64_t left) {
  return left >= kWideVectors * kWidth ? kWideVectors * kWidth : std::min(left, kWidth);
}

// One tile of `count` rows and `columns` columns, a value of NextColumns.
template <bool kAdjacent>
HWY_INLINE void WeightedColumns(const WeightedArgs& a, int64_t count, int64_t columns) {
  using Rows = std::make_index_sequence<kTileRows>;
  static constexpr auto kWide = WeightedTilesOf<kWideVectors, kAdjacent>(Rows());
  static constexpr auto kNarrow = WeightedTilesOf<1, kAdjacent>(Rows());
  static constexpr auto kTails = WeightedTailsOf<kAdjacent>(Rows());
  if (columns == kWideVectors * kWidth) {
    kWide[count - 1](a);
  } else if (columns == kWidth) {
    kNarrow[count - 1](a);
  } else {
    kTails[count - 1](a, columns);
  }
}

}  // namespace attention
}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per target
