#include "kernel/cpu/plan_linear.h"

#include <algorithm>

#include "base/check.h"

namespace sputnik::cpu {
namespace {

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t RoundUp(int64_t a, int64_t b) { return DivideUp(a, b) * b; }

// Packing in units of one output's multiply-add: an element of b costs as much as it would in this many more rows of c,
// an element of a as in this many more columns. Measured; only ratios matter.
constexpr double kTransposeCost = 8, kCopyCost = 2;

// A thread is woken when this much is gained. Rough speeds of one core, on the slow side.
constexpr double kWorthWakingNs = 10e3;
constexpr double kFlopsPerNs = 100, kBytesPerNs = 20;
// Tasks this long even out the speeds of busy cores; shorter ones only pack more.
constexpr double kTaskNs = 100e3;

double Nanoseconds(const ProductShape& shape, double work) {
  const double bytes = static_cast<double>(shape.columns) * static_cast<double>(shape.depth * shape.b_bytes);
  return std::max(2 * work / kFlopsPerNs, bytes / kBytesPerNs);
}

double Work(const ProductShape& shape) {
  return static_cast<double>(shape.rows) * static_cast<double>(shape.columns) * static_cast<double>(shape.depth);
}

// A block size that makes about `cuts` equal blocks of whole tiles.
int64_t Block(int64_t size, int64_t cuts, int64_t tile, int64_t smallest) {
  const int64_t even = DivideUp(size, cuts);
  return std::clamp(RoundUp(even, even > tile ? tile : smallest), int64_t{1}, std::max<int64_t>(size, 1));
}

// The grid of about `pieces` blocks, where the shape allows so many, that `threads` finish first.
LinearPlan Cut(const ProductShape& shape, const TileShape& tile, int64_t pieces, int threads) {
  const bool direct = UsesDirectPath(shape.rows, shape.b_by_column, tile);
  LinearPlan best;
  double least = 0;
  for (int64_t column_cuts = 1; column_cuts <= pieces; ++column_cuts) {
    if (direct && column_cuts < pieces) continue;  // more rows cost nothing there, reading b twice does
    const int64_t row_cuts = DivideUp(pieces, column_cuts);
    const LinearPlan plan{Block(shape.rows, row_cuts, tile.rows, 1),
                          Block(shape.columns, column_cuts, tile.columns, tile.lanes)};
    const auto m = static_cast<double>(plan.row_block);
    const auto n = static_cast<double>(RoundUp(plan.column_block, tile.lanes));
    const auto packings_of_a = static_cast<double>(DivideUp(plan.column_block, kColumnBlock));
    const double task = m * n + n * (shape.b_by_column ? kTransposeCost : kCopyCost) + m * packings_of_a * kCopyCost;
    const int64_t tasks = DivideUp(shape.rows, plan.row_block) * DivideUp(shape.columns, plan.column_block);
    const double cost = task * static_cast<double>(DivideUp(tasks, threads));
    if (best.row_block == 0 || cost < least) {
      best = plan;
      least = cost;
    }
  }
  return best;
}

}  // namespace

bool UsesDirectPath(int64_t rows, bool b_by_column, const TileShape& tile) { return b_by_column && rows <= tile.rows; }

LinearPlan PlanLinear(const ProductShape& shape, const TileShape& tile, int threads) {
  CHECK_GT(threads, 0);
  const double ns = Nanoseconds(shape, Work(shape));
  if (threads == 1 || ns < kWorthWakingNs) return Cut(shape, tile, 1, 1);
  const double tasks_per_thread = std::clamp(ns / threads / kTaskNs, 1.0, 4.0);
  return Cut(shape, tile, threads * static_cast<int64_t>(tasks_per_thread), threads);
}

LinearPlan PlanGroupedLinear(const ProductShape& largest, double total_work, const TileShape& tile, int threads) {
  CHECK_GT(threads, 0);
  const double share = total_work / (4.0 * threads);
  const double pieces = threads == 1 || share <= 0 ? 1 : Work(largest) / share;
  return Cut(largest, tile, std::clamp<int64_t>(static_cast<int64_t>(pieces + 0.999), 1, 4 * int64_t{threads}), 1);
}

int64_t NextTileRows(int64_t remaining, int64_t tile_rows) {
  if (remaining <= tile_rows) return remaining;
  if (remaining < 2 * tile_rows) return (remaining + 1) / 2;
  return tile_rows;
}

}  // namespace sputnik::cpu
