#include "kernel/cpu/pointwise.h"

#include <cstring>

#include "base/check.h"
#include "kernel/cpu/split.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/cpu/pointwise.cc"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernel/cpu/elementary-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
using namespace simd;

HWY_INLINE void AddRow(const float* a, const float* b, float* y, int64_t n) {
  ForEachVector(n, [&](auto access, int64_t i)
                       HWY_ATTR { access.Store(hn::Add(access.Load(a + i), access.Load(b + i)), y + i); });
}

// Rows [r0, r1), columns [c0, c1) of y = a + b.
void AddBlock(const AddArgs& args, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
  for (int64_t r = r0; r < r1; ++r) {
    AddRow(static_cast<const float*>(args.a) + r * args.a_stride + c0,
           static_cast<const float*>(args.b) + r * args.b_stride + c0,
           static_cast<float*>(args.y) + r * args.y_stride + c0, c1 - c0);
  }
}

// The same of y += scale · a.
void AddScaledBlock(const AddArgs& args, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
  const V scale = hn::Set(D(), static_cast<float>(args.scale));
  for (int64_t r = r0; r < r1; ++r) {
    const float* a = static_cast<const float*>(args.a) + r * args.a_stride + c0;
    float* y = static_cast<float*>(args.y) + r * args.y_stride + c0;
    ForEachVector(c1 - c0, [&](auto access, int64_t i) HWY_ATTR {
      access.Store(hn::MulAdd(scale, access.Load(a + i), access.Load(y + i)), y + i);
    });
  }
}

void SwigluBlock(const SwigluArgs& args, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
  const V one = hn::Set(D(), 1.0f);
  for (int64_t r = r0; r < r1; ++r) {
    const float* gate = static_cast<const float*>(args.gate) + r * args.in_stride + c0;
    const float* up = static_cast<const float*>(args.up) + r * args.in_stride + c0;
    float* y = static_cast<float*>(args.y) + r * args.y_stride + c0;
    ForEachVector(c1 - c0, [&](auto access, int64_t i) HWY_ATTR {
      const V g = access.Load(gate + i);
      const V silu = hn::Div(g, hn::Add(one, Exp(hn::Neg(g))));
      access.Store(hn::Mul(silu, access.Load(up + i)), y + i);
    });
  }
}

void SwigluBackwardBlock(const SwigluBackwardArgs& args, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
  const SwigluArgs& f = args.forward;
  const V one = hn::Set(D(), 1.0f);
  for (int64_t r = r0; r < r1; ++r) {
    const float* gate = static_cast<const float*>(f.gate) + r * f.in_stride + c0;
    const float* up = static_cast<const float*>(f.up) + r * f.in_stride + c0;
    const float* dy = static_cast<const float*>(args.dy) + r * args.dy_stride + c0;
    float* dgate = static_cast<float*>(args.dgate) + r * args.din_stride + c0;
    float* dup = static_cast<float*>(args.dup) + r * args.din_stride + c0;
    ForEachVector(c1 - c0, [&](auto access, int64_t i) HWY_ATTR {
      const V g = access.Load(gate + i), seed = access.Load(dy + i);
      const V sigmoid = Sigmoid(g);
      const V slope = hn::MulAdd(g, hn::Sub(one, sigmoid), one);
      access.Store(hn::MulAdd(seed, hn::Mul(g, sigmoid), access.Load(dup + i)), dup + i);
      const V to_silu = hn::Mul(hn::Mul(seed, access.Load(up + i)), sigmoid);
      access.Store(hn::MulAdd(to_silu, slope, access.Load(dgate + i)), dgate + i);
    });
  }
}

// y = x, or y += x, of n bf16 values widened.
HWY_INLINE void WidenRow(const uint16_t* x, float* y, int64_t n, bool accumulate) {
  const D d;
  const hn::RebindToUnsigned<D> bits;
  const hn::Rebind<uint16_t, D> half_bits;
  int64_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    V value = hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(bits, hn::LoadU(half_bits, x + i))));
    if (accumulate) value = hn::Add(hn::LoadU(d, y + i), value);
    hn::StoreU(value, d, y + i);
  }
  for (; i < n; ++i) y[i] = accumulate ? y[i] + FloatFromBF16(x[i]) : FloatFromBF16(x[i]);
}

void GatherBlock(const GatherArgs& args, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
  for (int64_t r = r0; r < r1; ++r) {
    float* y = static_cast<float*>(args.y) + r * args.y_stride + c0;
    const int64_t from = args.index[r] * args.x_stride + c0;
    if (args.table_dtype == DType::kBF16) {
      WidenRow(static_cast<const uint16_t*>(args.x) + from, y, c1 - c0, args.accumulate);
    } else if (args.accumulate) {
      AddRow(y, static_cast<const float*>(args.x) + from, y, c1 - c0);
    } else {
      std::memcpy(y, static_cast<const float*>(args.x) + from, static_cast<size_t>(c1 - c0) * sizeof(float));
    }
  }
}

// The rows whose target is `task` modulo `tasks`: each target row belongs to one task, which adds in ascending order.
void ScatterAddTask(const GatherArgs& args, int64_t task, int64_t tasks) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const int64_t target = args.index[r];
    if (target % tasks != task) continue;
    float* x = static_cast<float*>(args.x) + target * args.x_stride;
    AddRow(x, static_cast<const float*>(args.y) + r * args.y_stride, x, args.columns);
  }
}

}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sputnik::cpu {

HWY_EXPORT(AddBlock);
HWY_EXPORT(AddScaledBlock);
HWY_EXPORT(SwigluBlock);
HWY_EXPORT(SwigluBackwardBlock);
HWY_EXPORT(GatherBlock);
HWY_EXPORT(ScatterAddTask);

namespace {

// Runs `block` over args' rows and columns; rows that follow each other without a gap in every operand are one long
// row.
template <class Args, class F>
void SplitBlocks(ThreadPool& pool, const Args& args, int64_t rows, int64_t columns, bool gapless, F block) {
  if (gapless) {
    columns *= rows;
    rows = 1;
  }
  SplitMatrix(pool, rows, columns,
              [&](int64_t r0, int64_t r1, int64_t c0, int64_t c1) { block(args, r0, r1, c0, c1); });
}

}  // namespace

void Add(const AddArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  const bool gapless = args.a_stride == args.columns && args.b_stride == args.columns && args.y_stride == args.columns;
  SplitBlocks(pool, args, args.rows, args.columns, gapless, HWY_DYNAMIC_DISPATCH(AddBlock));
}

void AddTo(const AddArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  const bool gapless = args.a_stride == args.columns && args.y_stride == args.columns;
  SplitBlocks(pool, args, args.rows, args.columns, gapless, HWY_DYNAMIC_DISPATCH(AddScaledBlock));
}

void Copy(const AddArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  const bool gapless = args.a_stride == args.columns && args.y_stride == args.columns;
  const auto block = [](const AddArgs& a, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
    for (int64_t r = r0; r < r1; ++r) {
      std::memcpy(static_cast<float*>(a.y) + r * a.y_stride + c0, static_cast<const float*>(a.a) + r * a.a_stride + c0,
                  static_cast<size_t>(c1 - c0) * sizeof(float));
    }
  };
  SplitBlocks(pool, args, args.rows, args.columns, gapless, block);
}

void Swiglu(const SwigluArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  const bool gapless = args.in_stride == args.columns && args.y_stride == args.columns;
  SplitBlocks(pool, args, args.rows, args.columns, gapless, HWY_DYNAMIC_DISPATCH(SwigluBlock));
}

void SwigluBackward(const SwigluBackwardArgs& args, ThreadPool& pool) {
  const SwigluArgs& forward = args.forward;
  CHECK(forward.dtype == DType::kF32);
  const int64_t columns = forward.columns;
  const bool gapless = forward.in_stride == columns && args.dy_stride == columns && args.din_stride == columns;
  SplitBlocks(pool, args, forward.rows, columns, gapless, HWY_DYNAMIC_DISPATCH(SwigluBackwardBlock));
}

void Gather(const GatherArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  CHECK(args.table_dtype == DType::kF32 || args.table_dtype == DType::kBF16);
  SplitBlocks(pool, args, args.rows, args.columns, false, HWY_DYNAMIC_DISPATCH(GatherBlock));
}

void ScatterAdd(const GatherArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32 && args.table_dtype == DType::kF32);
  const auto run = HWY_DYNAMIC_DISPATCH(ScatterAddTask);
  const int64_t tasks = args.rows * args.columns < 2 * kTaskElements ? 1 : pool.size();
  pool.ParallelFor(tasks, [&](int64_t task, int) { run(args, task, tasks); });
}

void Scatter(const GatherArgs& args, ThreadPool&) {
  CHECK(args.dtype == DType::kF32 && args.table_dtype == DType::kF32);
  for (int64_t r = 0; r < args.rows; ++r) {
    std::memcpy(static_cast<float*>(args.x) + args.index[r] * args.x_stride,
                static_cast<const float*>(args.y) + r * args.y_stride,
                static_cast<size_t>(args.columns) * sizeof(float));
  }
}

}  // namespace sputnik::cpu
#endif
