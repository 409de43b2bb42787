#include "kernel/cpu/linear.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>

#include "base/check.h"
#include "kernel/cpu/plan_linear.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/cpu/linear.cc"
#include "hwy/foreach_target.h"  // compiles this file again for every target
#include "hwy/highway.h"
#include "kernel/cpu/linear-inl.h"

#ifndef SPUTNIK_KERNEL_CPU_LINEAR_ONCE_
#define SPUTNIK_KERNEL_CPU_LINEAR_ONCE_
namespace sputnik::cpu {

// One product c = a · b in the terms of plan_linear.h. `a_by_depth`: a is stored [depth, rows] instead of [rows, depth].
struct Product {
  ProductShape shape;
  const float* a = nullptr;
  int64_t a_stride = 0;
  bool a_by_depth = false;
  const void* b = nullptr;
  int64_t b_stride = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
  bool accumulate = false;
};

enum class ProductKind { kLinear, kBackwardInput, kBackwardWeight };

// Packed operands of one thread. Kept for the thread's life: kernels are called thousands of times a second.
class Scratch {
 public:
  static constexpr int64_t kB = kDepthBlock * kColumnBlock;
  static constexpr int64_t kA = 16 * (kDirectDepthBlock + 16);
  static constexpr int64_t kC = 16 * 64;
  static constexpr int64_t kStage = 16 * (kDepthBlock + 32);  // columns of b on their way

  static Scratch& OfThisThread() {
    thread_local Scratch scratch;
    return scratch;
  }
  float* b() const { return memory_.get(); }
  float* a() const { return memory_.get() + kB; }
  float* c() const { return memory_.get() + kB + kA; }
  uint8_t* stage() const { return reinterpret_cast<uint8_t*>(memory_.get() + kB + kA + kC); }

 private:
  static constexpr std::align_val_t kAlignment{4096};
  struct Free {
    void operator()(float* memory) const { ::operator delete(memory, kAlignment); }
  };
  std::unique_ptr<float, Free> memory_{
      static_cast<float*>(::operator new((kA + kB + kC + kStage) * sizeof(float), kAlignment))};
};

// The product that `kind` asks of args, or of one group of them.
inline Product ProductOf(ProductKind kind, const LinearArgs& args) {
  const auto* x = static_cast<const float*>(args.x);
  const auto* y = static_cast<const float*>(args.y);
  const int64_t weight_bytes = SizeOf(args.weight_dtype);
  switch (kind) {
    case ProductKind::kLinear:
      return {{args.rows, args.outputs, args.inputs, true, weight_bytes}, x, args.x_stride, false, args.w,
              args.w_stride, static_cast<float*>(args.y), args.y_stride, args.accumulate};
    case ProductKind::kBackwardInput:
      return {{args.rows, args.inputs, args.outputs, false, weight_bytes}, y, args.y_stride, false, args.w,
              args.w_stride, static_cast<float*>(args.x), args.x_stride, args.accumulate};
    case ProductKind::kBackwardWeight:
      return {{args.outputs, args.inputs, args.rows, false, weight_bytes}, y, args.y_stride, true, x,
              args.x_stride, static_cast<float*>(args.w), args.w_stride, args.accumulate};
  }
  return {};
}

inline LinearArgs Group(const GroupedLinearArgs& args, int64_t g) {
  const int64_t begin = args.group_start[g];
  return {.dtype = args.dtype, .weight_dtype = args.weight_dtype,
          .rows = args.group_start[g + 1] - begin, .outputs = args.outputs, .inputs = args.inputs,
          .x = static_cast<float*>(args.x) + begin * args.x_stride, .x_stride = args.x_stride,
          .w = args.w[g], .w_stride = args.w_stride,
          .y = static_cast<float*>(args.y) + begin * args.y_stride, .y_stride = args.y_stride,
          .accumulate = args.accumulate};
}

inline void CheckTypes(ProductKind kind, DType dtype, DType weight_dtype) {
  CHECK(dtype == DType::kF32);
  CHECK(weight_dtype == DType::kF32 || (weight_dtype == DType::kBF16 && kind != ProductKind::kBackwardWeight));
}

inline int64_t Blocks(int64_t size, int64_t block) { return (size + block - 1) / block; }
inline int64_t Tasks(const ProductShape& shape, const LinearPlan& plan) {
  return Blocks(shape.rows, plan.row_block) * Blocks(shape.columns, plan.column_block);
}

}  // namespace sputnik::cpu
#endif  // SPUTNIK_KERNEL_CPU_LINEAR_ONCE_

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {

// The part of a product that one task computes.
struct Region {
  int64_t row, rows, column, columns;
};

// Runs tile(c, c_stride, load) for a tile of c; one that sticks out over the last column is computed in `spare`.
template <class Tile>
HWY_INLINE void RunTile(float* c, int64_t c_stride, int64_t rows, int64_t valid, int64_t width, bool load, float* spare,
                        const Tile& tile) {
  if (valid == width) {
    tile(c, c_stride, load);
    return;
  }
  if (load) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t i = 0; i < width; ++i) spare[r * width + i] = i < valid ? c[r * c_stride + i] : 0;
    }
  }
  tile(spare, width, load);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(spare + r * width, valid, c + r * c_stride);
}

// A direct tile whose columns collide in the cache, a stretch of depth at a time.
template <class B>
HWY_INLINE void RunStaged(DirectTileFunction tile, int64_t depth, const uint8_t* const* columns, int64_t next,
                          const Scratch& scratch, float* c, int64_t c_stride, bool load) {
  for (int64_t k = 0; k < depth; k += kDepthBlock) {
    const int64_t steps = std::min(kDepthBlock, depth - k);
    const int64_t bytes = steps * static_cast<int64_t>(sizeof(B));
    const int64_t offset = k * static_cast<int64_t>(sizeof(B));
    const uint8_t* here[kDirectColumns];
    const uint8_t* staged[kDirectColumns];
    for (int i = 0; i < kDirectColumns; ++i) here[i] = staged[i] = columns[i] + offset;
    StageColumns(kDirectColumns, bytes, staged, scratch.stage());
    // All of this stretch is here: the next one is due.
    tile(steps, scratch.a() + k, staged, {here, bytes, k + steps < depth ? bytes : next - offset}, c, c_stride,
         load || k > 0);
  }
}

template <class B>
HWY_NOINLINE void RunDirect(const Product& p, const Region& region, const Scratch& scratch) {
  const auto* b = static_cast<const B*>(p.b);
  const int64_t rows = region.rows;
  const int64_t end = region.column + region.columns;
  int64_t k = 0;
  do {
    const int64_t depth = std::min(kDirectDepthBlock, p.shape.depth - k);
    PackRowsOfA(p.a + region.row * p.a_stride + k, p.a_stride, rows, depth, kPitchDirect, scratch.a());
    for (int64_t column = region.column; column < end; column += kDirectColumns) {
      const uint8_t* columns[kDirectColumns];
      ColumnPointers(b + k, p.b_stride, column, p.shape.columns, kDirectColumns, columns);
      const int64_t next = kDirectColumns * p.b_stride * static_cast<int64_t>(sizeof(B));
      RunTile(p.c + region.row * p.c_stride + column, p.c_stride, rows, std::min<int64_t>(kDirectColumns, end - column),
              kDirectColumns, p.accumulate || k > 0, scratch.c(), [&](float* c, int64_t c_stride, bool load) HWY_ATTR {
                const auto tile = kDirectTiles<B>[static_cast<size_t>(rows - 1)];
                if (Collide<B>(p.b_stride)) {
                  RunStaged<B>(tile, depth, columns, next, scratch, c, c_stride, load);
                } else {
                  tile(depth, scratch.a(), columns, {columns, 512, next}, c, c_stride, load);
                }
              });
    }
    k += depth;
  } while (k < p.shape.depth);
}

// Packs columns [column, column + columns) of b from depth step k on, panel after panel.
template <class B>
HWY_NOINLINE void PackB(const Product& p, int64_t k, int64_t depth, int64_t column, int64_t columns, const Scratch& scratch) {
  float* to = scratch.b();
  const auto* b = static_cast<const B*>(p.b);
  for (int64_t done = 0; done < columns; done += kTileColumns) {
    const int64_t left = std::min<int64_t>(kTileColumns, columns - done);
    const int width = static_cast<int>((left + kLanes - 1) / kLanes) * kLanes;
    if (p.shape.b_by_column) {
      PackByColumn(b + k, p.b_stride, column + done, p.shape.columns, depth, width, scratch.stage(), to);
    } else {
      PackByRow(b + k * p.b_stride, p.b_stride, column + done, p.shape.columns, depth, width, to);
    }
    to += depth * width;
  }
}

template <class B>
HWY_NOINLINE void RunPacked(const Product& p, const Region& region, const Scratch& scratch) {
  for (int64_t column = 0; column < region.columns; column += kColumnBlock) {
    const int64_t columns = std::min(kColumnBlock, region.columns - column);
    int64_t k = 0;
    do {
      const int64_t depth = std::min(kDepthBlock, p.shape.depth - k);
      PackB<B>(p, k, depth, region.column + column, columns, scratch);
      for (int64_t done = 0, rows; done < region.rows; done += rows) {
        rows = NextTileRows(region.rows - done, kTileRows);
        const int64_t row = region.row + done;
        const float* a = scratch.a();
        if (p.a_by_depth) {
          a = PackColumnsOfA(p.a + k * p.a_stride, p.a_stride, row, p.shape.rows, depth, scratch.a());
        } else {
          PackRowsOfA(p.a + row * p.a_stride + k, p.a_stride, rows, depth, kPitchByRow, scratch.a());
        }
        float* c = p.c + row * p.c_stride + region.column + column;
        const float* panel = scratch.b();
        for (int64_t n = 0; n < columns; n += kTileColumns) {
          const int64_t valid = std::min<int64_t>(kTileColumns, columns - n);
          const int64_t vectors = (valid + kLanes - 1) / kLanes;
          const PackedTileFunction tile = kPackedTiles[p.a_by_depth][static_cast<size_t>(vectors - 1)][static_cast<size_t>(rows - 1)];
          RunTile(c + n, p.c_stride, rows, valid, vectors * kLanes, p.accumulate || k > 0, scratch.c(),
                  [&](float* to, int64_t c_stride, bool load)
                      HWY_ATTR { tile(depth, a, panel, to, c_stride, load); });
          panel += depth * vectors * kLanes;
        }
      }
      k += depth;
    } while (k < p.shape.depth);
  }
}

// Task `task` of a product, counted down the columns first, so that neighbours share b.
HWY_NOINLINE void RunTask(const Product& p, const LinearPlan& plan, int64_t task) {
  static_assert(kTileRows * std::max(kTileColumns, kDirectColumns) <= Scratch::kC && kDirectColumns <= 16);
  const int64_t row_blocks = Blocks(p.shape.rows, plan.row_block);
  Region region{task % row_blocks * plan.row_block, 0, task / row_blocks * plan.column_block, 0};
  region.rows = std::min(plan.row_block, p.shape.rows - region.row);
  region.columns = std::min(plan.column_block, p.shape.columns - region.column);
  const Scratch& scratch = Scratch::OfThisThread();
  const bool bf16 = p.shape.b_bytes == 2;
  if (UsesDirectPath(region.rows, p.shape.b_by_column, kTile)) {
    bf16 ? RunDirect<uint16_t>(p, region, scratch) : RunDirect<float>(p, region, scratch);
  } else {
    bf16 ? RunPacked<uint16_t>(p, region, scratch) : RunPacked<float>(p, region, scratch);
  }
}

HWY_NOINLINE void Run(ProductKind kind, const LinearArgs& args, ThreadPool& pool) {
  const Product p = ProductOf(kind, args);
  if (p.shape.rows == 0 || p.shape.columns == 0) return;
  const LinearPlan plan = PlanLinear(p.shape, kTile, pool.size());
  pool.ParallelFor(Tasks(p.shape, plan), [&](int64_t task, int) HWY_ATTR { RunTask(p, plan, task); });
}

HWY_NOINLINE void RunGrouped(ProductKind kind, const GroupedLinearArgs& args, ThreadPool& pool) {
  double total = 0;
  ProductShape largest;
  for (int64_t g = 0; g < args.groups; ++g) {
    const ProductShape shape = ProductOf(kind, Group(args, g)).shape;
    const double work = static_cast<double>(shape.rows) * static_cast<double>(shape.columns * shape.depth);
    total += work;
    if (g == 0 || shape.rows * shape.depth > largest.rows * largest.depth) largest = shape;
  }
  if (largest.columns == 0) return;
  const LinearPlan plan = PlanGroupedLinear(largest, total, kTile, pool.size());
  int64_t tasks = 0;
  for (int64_t g = 0; g < args.groups; ++g) tasks += Tasks(ProductOf(kind, Group(args, g)).shape, plan);
  pool.ParallelFor(tasks, [&](int64_t task, int) HWY_ATTR {
    for (int64_t g = 0;; ++g) {
      const Product p = ProductOf(kind, Group(args, g));
      const int64_t count = Tasks(p.shape, plan);
      if (task < count) return RunTask(p, plan, task);
      task -= count;
    }
  });
}

}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sputnik::cpu {
namespace {

HWY_EXPORT(Run);
HWY_EXPORT(RunGrouped);

void Dispatch(ProductKind kind, const LinearArgs& args, ThreadPool& pool) {
  CheckTypes(kind, args.dtype, args.weight_dtype);
  HWY_DYNAMIC_DISPATCH(Run)(kind, args, pool);
}
void Dispatch(ProductKind kind, const GroupedLinearArgs& args, ThreadPool& pool) {
  CheckTypes(kind, args.dtype, args.weight_dtype);
  HWY_DYNAMIC_DISPATCH(RunGrouped)(kind, args, pool);
}

}  // namespace

void Linear(const LinearArgs& args, ThreadPool& pool) { Dispatch(ProductKind::kLinear, args, pool); }
void LinearBackwardInput(const LinearArgs& args, ThreadPool& pool) {
  Dispatch(ProductKind::kBackwardInput, args, pool);
}
void LinearBackwardWeight(const LinearArgs& args, ThreadPool& pool) {
  Dispatch(ProductKind::kBackwardWeight, args, pool);
}
void GroupedLinear(const GroupedLinearArgs& args, ThreadPool& pool) { Dispatch(ProductKind::kLinear, args, pool); }
void GroupedLinearBackwardInput(const GroupedLinearArgs& args, ThreadPool& pool) {
  Dispatch(ProductKind::kBackwardInput, args, pool);
}
void GroupedLinearBackwardWeight(const GroupedLinearArgs& args, ThreadPool& pool) {
  Dispatch(ProductKind::kBackwardWeight, args, pool);
}

}  // namespace sputnik::cpu
#endif  // HWY_ONCE
