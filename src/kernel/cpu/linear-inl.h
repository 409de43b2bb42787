// The register-level parts of the blocked product, compiled once per SIMD target: packing, and the tile of c that is
// held in registers while the depth runs. Broadcasting a and keeping columns in lanes makes every lane one chain over
// ascending depth, which is the contract (docs/numerics.md).
#if defined(SPUTNIK_KERNEL_CPU_LINEAR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SPUTNIK_KERNEL_CPU_LINEAR_INL_H_
#undef SPUTNIK_KERNEL_CPU_LINEAR_INL_H_
#else
#define SPUTNIK_KERNEL_CPU_LINEAR_INL_H_
#endif

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

#include "hwy/highway.h"
#include "kernel/cpu/plan_linear.h"
#include "tensor/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F32 = hn::ScalableTag<float>;
using U32 = hn::RebindToUnsigned<F32>;
using VF = hn::Vec<F32>;

constexpr int kLanes = static_cast<int>(HWY_LANES(float));
// Accumulators fill the register file, less the vectors of b and a broadcast of a.
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
constexpr int kTileRows = 14, kTileVectors = 2, kDirectVectors = 1;  // 32 registers
#elif HWY_ARCH_ARM
constexpr int kTileRows = 6, kTileVectors = 4, kDirectVectors = 4;  // 32 registers, short ones
#else
constexpr int kTileRows = 6, kTileVectors = 2, kDirectVectors = 1;  // 16 registers
#endif
constexpr int kTileColumns = kTileVectors * kLanes;
constexpr int kDirectColumns = kDirectVectors * kLanes;
constexpr TileShape kTile{kTileRows, kTileColumns, kLanes};

// Layouts of a packed tile of a: by row with a fixed pitch (odd in cache lines, so that rows do not collide in the
// cache), or by depth when a is stored transposed. Fixed pitches keep addresses out of registers.
constexpr int kPitchByRow = static_cast<int>(kDepthBlock) + 16;
constexpr int kPitchByDepth = 16;
constexpr int kPitchDirect = static_cast<int>(kDirectDepthBlock) + 16;
static_assert(kTileRows <= kPitchByDepth);

// Between packed panels, and between packed tiles, that are written side by side: an odd number of cache lines, so that
// they do not collide.
constexpr int kPad = 5 * 16;

// ---- tiles of c in registers ---------------------------------------------------------------------------------------

// Moves c on by a row. The compiler is kept from seeing through it: it would work out all rows' addresses beforehand
// and keep them on the stack, which short tiles feel.
template <class T>
HWY_INLINE void NextRow(T*& c, int64_t c_stride) {
  c += c_stride;
#if HWY_COMPILER_GCC || HWY_COMPILER_CLANG
  asm("" : "+r"(c));
#endif
}

template <int kRows, int kVectors>
struct Accumulators {
  VF v[kRows][kVectors];

  HWY_INLINE void Start(const float* c, int64_t c_stride, bool load) {
    const F32 d;
    HWY_UNROLL(16)
    for (int r = 0; r < kRows; ++r) {
      HWY_UNROLL(4)
      for (int j = 0; j < kVectors; ++j) v[r][j] = hn::Zero(d);
    }
    if (!load) return;
    HWY_UNROLL(16)
    for (int r = 0; r < kRows; ++r) {
      HWY_UNROLL(4)
      for (int j = 0; j < kVectors; ++j) v[r][j] = hn::LoadU(d, c + j * kLanes);
      NextRow(c, c_stride);
    }
  }
  HWY_INLINE void Finish(float* c, int64_t c_stride) const {
    const F32 d;
    HWY_UNROLL(16)
    for (int r = 0; r < kRows; ++r) {
      HWY_UNROLL(4)
      for (int j = 0; j < kVectors; ++j) hn::StoreU(v[r][j], d, c + j * kLanes);
      NextRow(c, c_stride);
    }
  }
};

// c[kRows, kVectors] += a · b over `depth` steps of packed a and b; c starts from memory if `load`, else from zero.
template <int kRows, int kVectors, bool kByDepth>
HWY_NOINLINE void PackedTile(int64_t depth, const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                             float* HWY_RESTRICT c, int64_t c_stride, bool load) {
  constexpr int kRowStep = kByDepth ? 1 : kPitchByRow;
  constexpr int kDepthStep = kByDepth ? kPitchByDepth : 1;
  const F32 d;
  Accumulators<kRows, kVectors> acc;
  acc.Start(c, c_stride, load);
  for (int64_t k = 0; k < depth; ++k) {
    VF right[kVectors];
    HWY_UNROLL(4)
    for (int j = 0; j < kVectors; ++j) right[j] = hn::Load(d, b + j * kLanes);
    HWY_UNROLL(16)
    for (int r = 0; r < kRows; ++r) {
      const VF left = hn::Set(d, a[r * kRowStep]);
      HWY_UNROLL(4)
      for (int j = 0; j < kVectors; ++j) acc.v[r][j] = hn::MulAdd(left, right[j], acc.v[r][j]);
    }
    a += kDepthStep;
    b += kVectors * kLanes;
  }
  acc.Finish(c, c_stride);
}

using PackedTileFunction = void (*)(int64_t, const float*, const float*, float*, int64_t, bool);

template <int kVectors, bool kByDepth, size_t... kRow>
constexpr std::array<PackedTileFunction, kTileRows> PackedTilesOfRows(std::index_sequence<kRow...>) {
  return {&PackedTile<static_cast<int>(kRow) + 1, kVectors, kByDepth>...};
}
template <bool kByDepth, size_t... kVector>
constexpr std::array<std::array<PackedTileFunction, kTileRows>, kTileVectors> PackedTilesOf(
    std::index_sequence<kVector...>) {
  return {PackedTilesOfRows<static_cast<int>(kVector) + 1, kByDepth>(std::make_index_sequence<kTileRows>())...};
}
// [a by depth][vectors - 1][rows - 1]
constexpr std::array<std::array<PackedTileFunction, kTileRows>, kTileVectors> kPackedTiles[2] = {
    PackedTilesOf<false>(std::make_index_sequence<kTileVectors>()),
    PackedTilesOf<true>(std::make_index_sequence<kTileVectors>())};

// ---- reading b by column -------------------------------------------------------------------------------------------

// Columns are read in pieces of this many bytes, as wide as the vectors allow.
constexpr int kPiece = std::min(4 * kLanes, 32);
template <class B>
constexpr int kStep = kPiece / static_cast<int>(sizeof(B));  // depth steps in a piece

using VU = hn::Vec<U32>;

// words[i] is 32-bit word i of the piece at byte `offset` of each of kLanes columns.
HWY_INLINE void LoadTransposedWords(const uint8_t* const* columns, int64_t offset, VU (&words)[kPiece / 4]) {
  const U32 d;
  // First 16-byte blocks to their places: in[q][j] has as block i block q of column 4i + j.
  VU in[kPiece / 16][4];
  HWY_UNROLL(4)
  for (int j = 0; j < 4; ++j) {
    const auto load = [&](auto tag, int column) HWY_ATTR {
      return hn::BitCast(tag, hn::LoadU(hn::Repartition<uint8_t, decltype(tag)>(), columns[column] + offset));
    };
#if HWY_TARGET <= HWY_AVX3 && HWY_ARCH_X86
    const hn::Half<U32> half;
    const VU a = hn::Combine(d, load(half, j + 8), load(half, j));
    const VU b = hn::Combine(d, load(half, j + 12), load(half, j + 4));
    in[0][j] = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(b), a);
    in[1][j] = hn::OddEvenBlocks(b, hn::SwapAdjacentBlocks(a));
#elif HWY_TARGET == HWY_AVX2
    const VU a = load(d, j), b = load(d, j + 4);
    in[0][j] = hn::ConcatLowerLower(d, b, a);
    in[1][j] = hn::ConcatUpperUpper(d, b, a);
#else
    in[0][j] = load(d, j);
#endif
  }
  // Then four by four words within each block.
  HWY_UNROLL(4)
  for (int q = 0; q < kPiece / 16; ++q) {
    const VU even_low = hn::InterleaveLower(d, in[q][0], in[q][2]);
    const VU odd_low = hn::InterleaveLower(d, in[q][1], in[q][3]);
    const VU even_high = hn::InterleaveUpper(d, in[q][0], in[q][2]);
    const VU odd_high = hn::InterleaveUpper(d, in[q][1], in[q][3]);
    words[4 * q] = hn::InterleaveLower(d, even_low, odd_low);
    words[4 * q + 1] = hn::InterleaveUpper(d, even_low, odd_low);
    words[4 * q + 2] = hn::InterleaveLower(d, even_high, odd_high);
    words[4 * q + 3] = hn::InterleaveUpper(d, even_high, odd_high);
  }
}

// Row `s` of b, one of the kStep<B> that `words` hold, widened. BF16 lies in little-endian pairs.
template <class B>
HWY_INLINE VF RowOfWords(const VU (&words)[kPiece / 4], int s) {
  const F32 d;
  if constexpr (sizeof(B) == 4) return hn::BitCast(d, words[s]);
  if (s % 2 == 0) return hn::BitCast(d, hn::ShiftLeft<16>(words[s / 2]));
  return hn::BitCast(d, hn::And(words[s / 2], hn::Set(U32(), 0xffff0000u)));
}

HWY_INLINE float Widen(float value) { return value; }
HWY_INLINE float Widen(uint16_t value) { return FloatFromBF16(value); }

// Row k of b in kLanes columns, one element at a time: for the last few steps of depth.
template <class B>
HWY_INLINE VF GatherRow(const uint8_t* const* columns, int64_t k) {
  HWY_ALIGN float row[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    B value;
    std::memcpy(&value, columns[i] + k * static_cast<int64_t>(sizeof(B)), sizeof value);
    row[i] = Widen(value);
  }
  return hn::Load(F32(), row);
}

// Pointers to `count` columns of b from `column` on; past the last column it is repeated, for lanes that nobody
// reads.
template <class B>
HWY_INLINE void ColumnPointers(const B* b, int64_t b_stride, int64_t column, int64_t columns, int count,
                               const uint8_t** pointers) {
  for (int i = 0; i < count; ++i) {
    pointers[i] = reinterpret_cast<const uint8_t*>(b + std::min<int64_t>(column + i, columns - 1) * b_stride);
  }
}

// Columns whose distance is a multiple of this fall into so few sets of the first-level cache that they evict each
// other before they are read to the end of a line; they are copied out first.
template <class B>
HWY_INLINE bool Collide(int64_t b_stride) {
  return b_stride * static_cast<int64_t>(sizeof(B)) % 4096 == 0;
}

// Copies `bytes` of each of `count` columns to `stage` and points `columns` there.
HWY_INLINE void StageColumns(int count, int64_t bytes, const uint8_t** columns, uint8_t* stage) {
  const int64_t pitch = (bytes + 127) / 64 * 64;
  for (int i = 0; i < count; ++i) {
    std::memcpy(stage + i * pitch, columns[i], static_cast<size_t>(bytes));
    columns[i] = stage + i * pitch;
  }
}

// What DirectTile asks the cache for while it computes: byte `o` of a column is due when byte o - lead is in use; past
// the end of the columns it goes on at `next` bytes from their start. The processor's own prefetchers give up on this
// many short streams.
struct Fetch {
  const uint8_t* const* columns;
  int64_t lead, next;
};

// c += a · b without packing b: for so few rows that each element of b is used once per row only.
template <int kRows, int kVectors, class B>
HWY_NOINLINE void DirectTile(int64_t depth, const float* HWY_RESTRICT a, const uint8_t* const* columns,
                             const Fetch& ahead, float* HWY_RESTRICT c, int64_t c_stride, bool load) {
  const F32 d;
  Accumulators<kRows, kVectors> acc;
  acc.Start(c, c_stride, load);
  const int64_t bytes = depth * static_cast<int64_t>(sizeof(B));
  int64_t k = 0;
  for (; k + kStep<B> <= depth; k += kStep<B>) {
    const int64_t offset = k * static_cast<int64_t>(sizeof(B));
    const int64_t due = offset + ahead.lead;
    const int64_t fetch = due < bytes ? due : due - bytes + ahead.next;
    HWY_UNROLL(4)
    for (int j = 0; j < kVectors; ++j) {
      VU words[kPiece / 4];
      LoadTransposedWords(columns + j * kLanes, offset, words);
      // Each piece of a cache line asks for its share of the columns.
      constexpr int kShare = kLanes * kPiece / 64;
      const int first = j * kLanes + static_cast<int>(offset / kPiece % (64 / kPiece)) * kShare;
      HWY_UNROLL(8)
      for (int i = 0; i < kShare; ++i) __builtin_prefetch(ahead.columns[first + i] + fetch, 0, 2);
      HWY_UNROLL(16)
      for (int s = 0; s < kStep<B>; ++s) {
        const VF right = RowOfWords<B>(words, s);
        HWY_UNROLL(16)
        for (int r = 0; r < kRows; ++r) {
          acc.v[r][j] = hn::MulAdd(hn::Set(d, a[r * kPitchDirect + k + s]), right, acc.v[r][j]);
        }
      }
    }
  }
  for (; k < depth; ++k) {
    HWY_UNROLL(4)
    for (int j = 0; j < kVectors; ++j) {
      const VF right = GatherRow<B>(columns + j * kLanes, k);
      HWY_UNROLL(16)
      for (int r = 0; r < kRows; ++r) {
        acc.v[r][j] = hn::MulAdd(hn::Set(d, a[r * kPitchDirect + k]), right, acc.v[r][j]);
      }
    }
  }
  acc.Finish(c, c_stride);
}

using DirectTileFunction = void (*)(int64_t, const float*, const uint8_t* const*, const Fetch&, float*, int64_t, bool);

template <class B, size_t... kRow>
constexpr std::array<DirectTileFunction, kTileRows> DirectTilesOf(std::index_sequence<kRow...>) {
  return {&DirectTile<static_cast<int>(kRow) + 1, kDirectVectors, B>...};
}
template <class B>
constexpr std::array<DirectTileFunction, kTileRows> kDirectTiles =
    DirectTilesOf<B>(std::make_index_sequence<kTileRows>());  // [rows - 1]

// ---- packing -------------------------------------------------------------------------------------------------------

// A panel of b for PackedTile, [depth][width], width a multiple of kLanes: columns `column`… of b, from b's first depth
// step on. Lanes past `columns` hold anything.
template <class B>
HWY_NOINLINE void PackByColumn(const B* b, int64_t b_stride, int64_t column, int64_t columns, int64_t depth, int width,
                               uint8_t* HWY_RESTRICT stage, float* HWY_RESTRICT panel) {
  const F32 d;
  for (int lane = 0; lane < width; lane += kLanes) {
    const uint8_t* pointers[kLanes];
    ColumnPointers(b, b_stride, column + lane, columns, kLanes, pointers);
    if (Collide<B>(b_stride)) StageColumns(kLanes, depth * static_cast<int64_t>(sizeof(B)), pointers, stage);
    float* out = panel + lane;
    int64_t k = 0;
    for (; k + kStep<B> <= depth; k += kStep<B>) {
      VU words[kPiece / 4];
      LoadTransposedWords(pointers, k * static_cast<int64_t>(sizeof(B)), words);
      HWY_UNROLL(16)
      for (int s = 0; s < kStep<B>; ++s) hn::Store(RowOfWords<B>(words, s), d, out + (k + s) * width);
    }
    for (; k < depth; ++k) hn::Store(GatherRow<B>(pointers, k), d, out + k * width);
  }
}

HWY_INLINE VF LoadWidened(const float* from) { return hn::LoadU(F32(), from); }
HWY_INLINE VF LoadWidened(const uint16_t* from) {
  const F32 d;
  const U32 du;
  const hn::Rebind<uint16_t, F32> d16;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(d16, from))));
}

// The same for b stored by row, for all panels of `count` columns from `column` on: rows are read from end to end,
// which is what the processor's prefetchers like.
template <class B>
HWY_NOINLINE void PackByRow(const B* b, int64_t b_stride, int64_t column, int64_t count, int64_t depth,
                            float* HWY_RESTRICT panels) {
  const F32 d;
  const int64_t full = count / kTileColumns * kTileColumns;
  const int64_t rest = count - full, rest_width = (rest + kLanes - 1) / kLanes * kLanes;
  for (int64_t k = 0; k < depth; ++k) {
    const B* from = b + k * b_stride + column;
    float* to = panels + k * kTileColumns;
    for (int64_t n = 0; n < full; n += kTileColumns) {
      HWY_UNROLL(4)
      for (int i = 0; i < kTileColumns; i += kLanes) hn::Store(LoadWidened(from + n + i), d, to + i);
      to += depth * kTileColumns + kPad;
    }
    if (rest == 0) continue;
    to = panels + full / kTileColumns * (depth * kTileColumns + kPad) + k * rest_width;
    int64_t i = 0;
    for (; i + kLanes <= rest; i += kLanes) hn::Store(LoadWidened(from + full + i), d, to + i);
    for (; i < rest_width; ++i) to[i] = i < rest ? Widen(from[full + i]) : 0;
  }
}

// A tile of a stored by row: rows `pitch` apart.
HWY_INLINE void PackRowsOfA(const float* a, int64_t a_stride, int64_t rows, int64_t depth, int pitch,
                            float* HWY_RESTRICT tile) {
  const F32 d;
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = a + r * a_stride;
    float* to = tile + r * pitch;
    int64_t k = 0;
    for (; k + kLanes <= depth; k += kLanes) hn::Store(hn::LoadU(d, from + k), d, to + k);
    for (; k < depth; ++k) to[k] = from[k];
  }
}

// Tiles of a stored transposed, [depth, a_rows], all at once as its rows are read from end to end. The rows
// `starts[t]`… of tile t become adjacent floats of each depth step. Whole vectors are copied, from a window that may
// begin before the tile so as to end inside a: rows of a tile start at tiles[t].
constexpr int kTilesOfA = 16;
HWY_NOINLINE void PackColumnsOfA(const float* a, int64_t a_stride, int64_t a_rows, const int64_t* starts, int count,
                                 int64_t depth, float* HWY_RESTRICT packed, const float** tiles) {
  const F32 d;
  const int64_t width = std::min<int64_t>(a_rows, kPitchByDepth);
  const int64_t pitch = depth * kPitchByDepth + kPad;
  int64_t windows[kTilesOfA];
  for (int t = 0; t < count; ++t) {
    windows[t] = std::min(starts[t], a_rows - width);
    tiles[t] = packed + t * pitch + (starts[t] - windows[t]);
  }
  for (int64_t k = 0; k < depth; ++k) {
    const float* from = a + k * a_stride;
    float* to = packed + k * kPitchByDepth;
    for (int t = 0; t < count; ++t, to += pitch) {
      if (width == kPitchByDepth) {
        HWY_UNROLL(4)
        for (int i = 0; i < kPitchByDepth; i += kLanes) hn::Store(hn::LoadU(d, from + windows[t] + i), d, to + i);
      } else {
        for (int64_t r = 0; r < width; ++r) to[r] = from[windows[t] + r];
      }
    }
  }
}

// Asks the second-level cache for part `part` of `parts` of rows of a that will be packed next.
HWY_INLINE void FetchRowsOfA(const float* a, int64_t a_stride, int64_t rows, int64_t depth, int64_t part,
                             int64_t parts) {
  for (int64_t r = rows * part / parts, end = rows * (part + 1) / parts; r < end; ++r) {
    for (int64_t k = 0; k < depth; k += 16) __builtin_prefetch(a + r * a_stride + k, 0, 2);
  }
}

}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // SPUTNIK_KERNEL_CPU_LINEAR_INL_H_
