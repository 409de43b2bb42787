// How a matrix product is cut up: pure functions of its shape. No choice made here can change a result (each output
// element is one chain over the whole depth, whoever computes it), only its speed.
#pragma once

#include <cstdint>

namespace sputnik::cpu {

// c[rows, columns] = a · b, summed over depth. In the terms of kernel/args.h:
//   linear                 rows x outputs, depth inputs,  b stored by column (w)
//   linear_backward_input  rows x inputs,  depth outputs, b stored by row (w)
//   linear_backward_weight outputs x inputs, depth rows,  b stored by row (x)
struct ProductShape {
  int64_t rows = 0, columns = 0, depth = 0;
  bool b_by_column = false;  // b is stored [columns, depth], so packing transposes it
  int64_t b_bytes = 4;       // per element of b
};

// The register tile of a SIMD target: `rows` by `columns` = a few vectors of `lanes` floats.
struct TileShape {
  int64_t rows = 0, columns = 0, lanes = 0;
};

// A task computes a block of at most `row_block` by `column_block` outputs; blocks are counted from the first row and
// column. Both are positive.
struct LinearPlan {
  int64_t row_block = 0, column_block = 0;
};

// Steps of depth that are packed at once, and columns. A packed block of b is 512 KB and stays in the second-level
// cache; a packed tile of a is about 14 KB and stays in the first.
inline constexpr int64_t kDepthBlock = 256;
inline constexpr int64_t kColumnBlock = 512;
// The depth block of the direct path, which packs a alone.
inline constexpr int64_t kDirectDepthBlock = 4096;

// Whether a block of this many rows reads b in place, transposing it in registers, instead of packing it: when a packed
// b would be used once only (decoding).
bool UsesDirectPath(int64_t rows, bool b_by_column, const TileShape& tile);

// One product. A small one becomes one task, which the calling thread runs without waking the pool.
LinearPlan PlanLinear(const ProductShape& shape, const TileShape& tile, int threads);

// Many products of one call. `largest` is the shape of the biggest; `total_work` is the sum of rows · columns · depth
// over all. Groups are cut only as far as the threads need for an even share.
LinearPlan PlanGroupedLinear(const ProductShape& largest, double total_work, const TileShape& tile, int threads);

// Rows of the next register tile when `remaining` are left: full tiles, but the last two share evenly, as tiles of very
// few rows waste the registers.
int64_t NextTileRows(int64_t remaining, int64_t tile_rows);

}  // namespace sputnik::cpu
