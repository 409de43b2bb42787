#include "kernel/cpu/attention.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "base/check.h"
#include "kernel/cpu/attention_work.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernel/cpu/attention.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"
#include "kernel/cpu/attention-inl.h"
#include "kernel/cpu/elementary-inl.h"

HWY_BEFORE_NAMESPACE();
namespace sputnik::cpu::HWY_NAMESPACE {
namespace attention {

// ---- forward
// ---------------------------------------------------------------------------------------------------------

// scores[0..n) become exp(scale · score - max); returns the sum, and the maximum through `max`.
HWY_INLINE float SoftmaxRow(float* scores, int64_t n, float scale, float* max) {
  const V factor = hn::Set(D(), scale);
  const V lowest = hn::Set(D(), -std::numeric_limits<float>::infinity());
  V best = lowest;
  ForEachVector(n, [&](auto access, int64_t i) HWY_ATTR {
    const V score = hn::Mul(access.Load(scores + i), factor);
    access.Store(score, scores + i);
    best = hn::Max(best, access.KeepElse(score, lowest));
  });
  *max = hn::GetLane(hn::MaxOfLanes(D(), best));
  const V shift = hn::Set(D(), *max);
  RowLanes sum;
  sum.Fill(0);
  ForEachRowLane(n, sum, [&](auto access, int64_t i, V& lane) HWY_ATTR {
    const V p = access.Keep(Exp(hn::Sub(access.Load(scores + i), shift)));
    access.Store(p, scores + i);
    lane = hn::Add(lane, p);
  });
  return sum.Total();
}

// Keys whose values are taken at once, when several heads read them: their rows stay in the cache from head to head.
constexpr int64_t kValueBlock = 64;

HWY_INLINE void PrefetchRows(const float* const* rows, int64_t begin, int64_t end, int64_t columns) {
  for (int64_t j = begin; j < end; ++j) {
    for (int64_t i = 0; i < columns; i += kRowLanes) hwy::Prefetch(rows[j] + i);
  }
}

// Fills scratch with where the task's keys, values, queries and outputs lie, head after head.
void Locate(const AttentionArgs& a, const AttentionTask& task, AttentionScratch& scratch) {
  const int64_t group = a.heads / a.key_heads, first_query = a.query_start[task.sequence];
  const int64_t queries = a.query_start[task.sequence + 1] - first_query;
  const int64_t unseen = a.key_count[task.sequence] - queries + 1;
  const int64_t keys = unseen + (task.end - 1) / group, padded = (keys + kBlock - 1) / kBlock * kBlock;
  const int64_t count = task.end - task.begin, rows = count * (task.key_head_end - task.key_head);

  scratch.key_rows.resize(static_cast<size_t>(padded));
  scratch.value_rows.resize(static_cast<size_t>(keys));
  for (int64_t j = 0; j < keys; ++j) {
    const int64_t row = AttentionKeyRow(a, task.sequence, j);
    scratch.key_rows[j] = static_cast<const float*>(a.k) + row * a.k_stride + task.key_head * a.k_head_stride;
    scratch.value_rows[j] = static_cast<const float*>(a.v) + row * a.v_stride + task.key_head * a.v_head_stride;
  }
  // What fills up the last block of keys is never used, but must be readable at every head: a row that is.
  for (int64_t j = keys; j < padded; ++j) scratch.key_rows[j] = scratch.key_rows[0];

  scratch.query_rows.resize(static_cast<size_t>(rows));
  scratch.out_rows.resize(static_cast<size_t>(rows));
  scratch.lse.resize(static_cast<size_t>(rows));
  scratch.seen.resize(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t within = task.begin + i % count, query = within / group;
    const int64_t head = (task.key_head + i / count) * group + within % group, row = first_query + query;
    scratch.query_rows[i] = static_cast<const float*>(a.q) + row * a.q_stride + head * a.q_head_stride;
    scratch.out_rows[i] = static_cast<float*>(a.o) + row * a.o_stride + head * a.o_head_stride;
    scratch.lse[i] = a.lse == nullptr ? nullptr : static_cast<float*>(a.lse) + row * a.heads + head;
    scratch.seen[i] = unseen + query;
  }
}

// Scores of all the task's rows, `stride` apart; unscaled.
void ScoreRows(const AttentionArgs& a, int64_t key_heads, int64_t count, AttentionScratch& scratch, float* scores,
               int64_t stride) {
  const int64_t keys = static_cast<int64_t>(scratch.value_rows.size());
  const int64_t blocks = (keys + kBlock - 1) / kBlock;
  float* packed = scratch.packed.Get(kTileGroups * kBlock * a.key_dim);
  // With few rows a key is used once or twice, so what counts is memory: ask for the next keys, and these keys' values.
  const bool prefetch = count <= kTileRows;
  const int64_t key_columns = (key_heads - 1) * a.k_head_stride + a.key_dim;
  const int64_t value_columns = (key_heads - 1) * a.v_head_stride + a.value_dim;
  for (int64_t block = 0; block < blocks; block += kTileGroups) {
    if (prefetch) {
      const int64_t here = block * kBlock, next = here + kTileGroups * kBlock;
      PrefetchRows(scratch.key_rows.data(), next, std::min(keys, next + kTileGroups * kBlock), key_columns);
      PrefetchRows(scratch.value_rows.data(), here, std::min(keys, next), value_columns);
    }
    const int64_t some = std::min<int64_t>(kTileGroups, blocks - block);
    for (int64_t h = 0; h < key_heads; ++h) {
      for (int64_t g = 0; g < some; ++g) {
        PackBlock(&scratch.key_rows[(block + g) * kBlock], h * a.k_head_stride, a.key_dim,
                  packed + g * kBlock * a.key_dim);
      }
      for (int64_t i = h * count; i < (h + 1) * count; i += kTileRows) {
        const int64_t rows = std::min<int64_t>(kTileRows, (h + 1) * count - i);
        const int64_t needed = (scratch.seen[i + rows - 1] + kBlock - 1) / kBlock - block;
        if (needed <= 0) continue;
        Scores(&scratch.query_rows[i], rows, a.key_dim, packed, std::min(needed, some),
               scores + i * stride + block * kBlock, stride);
      }
    }
  }
}

// Adds each row's weighted values to its output.
void WeighValues(const AttentionArgs& a, int64_t key_heads, int64_t count, AttentionScratch& scratch,
                 const float* weights, int64_t stride) {
  const int64_t keys = static_cast<int64_t>(scratch.value_rows.size());
  const int64_t step = key_heads == 1 ? keys : kValueBlock;
  for (int64_t begin = 0; begin < keys; begin += step) {
    for (int64_t h = 0; h < key_heads; ++h) {
      for (int64_t column = 0, columns = 0; column < a.value_dim; column += columns) {
        columns = NextColumns(a.value_dim - column);
        for (int64_t i = h * count; i < (h + 1) * count; i += kTileRows) {
          const int64_t rows = std::min<int64_t>(kTileRows, (h + 1) * count - i);
          std::array<float*, kTileRows> out;
          std::array<Span, kTileRows> spans;
          for (int64_t r = 0; r < rows; ++r) {
            out[r] = scratch.out_rows[i + r] + column;
            spans[r] = {begin, std::clamp(scratch.seen[i + r], begin, begin + step)};
          }
          WeightedColumns<false>({.out = out.data(),
                                  .weights = weights + i * stride,
                                  .weight_stride = stride,
                                  .rows = scratch.value_rows.data(),
                                  .column = h * a.v_head_stride + column,
                                  .spans = spans.data()},
                                 rows, columns);
        }
      }
    }
  }
}

void ForwardTask(const AttentionArgs& a, const AttentionTask& task, AttentionScratch& scratch) {
  Locate(a, task, scratch);
  const int64_t key_heads = task.key_head_end - task.key_head, count = task.end - task.begin;
  const int64_t stride = static_cast<int64_t>(scratch.key_rows.size()) + kBlock, rows = count * key_heads;
  float* scores = scratch.scores.Get(rows * stride);
  ScoreRows(a, key_heads, count, scratch, scores, stride);
  scratch.sums.resize(static_cast<size_t>(rows));
  for (int64_t i = 0; i < rows; ++i) {
    float max = 0;
    const float sum = SoftmaxRow(scores + i * stride, scratch.seen[i], static_cast<float>(a.scale), &max);
    scratch.sums[i] = sum;
    std::fill(scratch.out_rows[i], scratch.out_rows[i] + a.value_dim, 0.0f);
    if (scratch.lse[i] != nullptr) *scratch.lse[i] = max + reference::Log(sum);
  }
  WeighValues(a, key_heads, count, scratch, scores, stride);
  for (int64_t i = 0; i < rows; ++i) {
    float* out = scratch.out_rows[i];
    const V inverse = hn::Set(D(), 1.0f / scratch.sums[i]);
    ForEachVector(a.value_dim, [&](auto access, int64_t c)
                                   HWY_ATTR { access.Store(hn::Mul(access.Load(out + c), inverse), out + c); });
  }
}

// ---- backward
// --------------------------------------------------------------------------------------------------------

// Queries whose scores are held at once.
constexpr int64_t kQueryBlock = 64;

// out[k] of WeightedColumns for `count` output rows `stride` apart, tile by tile; span(i) is that of output row i.
template <bool kAdjacent, class SpanOf>
HWY_INLINE void WeightedRows(float* out, int64_t out_stride, int64_t count, int64_t dim, const float* weights,
                             int64_t weight_stride, const float* const* rows, SpanOf&& span) {
  for (int64_t column = 0, columns = 0; column < dim; column += columns) {
    columns = NextColumns(dim - column);
    for (int64_t i = 0; i < count; i += kTileRows) {
      const int64_t some = std::min<int64_t>(kTileRows, count - i);
      std::array<float*, kTileRows> outs;
      std::array<Span, kTileRows> spans;
      for (int64_t r = 0; r < some; ++r) {
        outs[r] = out + (i + r) * out_stride + column;
        spans[r] = span(i + r);
      }
      WeightedColumns<kAdjacent>({.out = outs.data(),
                                  .weights = weights + (kAdjacent ? i : i * weight_stride),
                                  .weight_stride = weight_stride,
                                  .rows = rows,
                                  .column = column,
                                  .spans = spans.data()},
                                 some, columns);
    }
  }
}

HWY_INLINE void PackRows(const float* base, int64_t stride, int64_t count, int64_t dim, const float* zeros,
                         float* packed) {
  for (int64_t j = 0; j < count; j += kBlock) {
    std::array<const float*, kBlock> rows;
    for (int64_t r = 0; r < kBlock; ++r) rows[r] = j + r < count ? base + (j + r) * stride : zeros;
    PackBlock(rows.data(), 0, dim, packed + j * dim);
  }
}

void BackwardTask(const AttentionBackwardArgs& b, const AttentionBackwardPiece& piece, AttentionScratch& scratch) {
  const AttentionArgs& a = b.forward;
  const int64_t group = a.heads / a.key_heads, first_query = a.query_start[piece.sequence];
  const int64_t queries = a.query_start[piece.sequence + 1] - first_query;
  const int64_t unseen = a.key_count[piece.sequence] - queries + 1;  // query i sees keys 0 … unseen + i - 1
  const int64_t key_row = a.key_start[piece.sequence] + piece.key_begin, keys = piece.key_end - piece.key_begin;
  const int64_t padded = (keys + kBlock - 1) / kBlock * kBlock, stride = padded + kBlock;
  const float scale = static_cast<float>(a.scale);

  const float* k = static_cast<const float*>(a.k) + key_row * a.k_stride + piece.key_head * a.k_head_stride;
  const float* v = static_cast<const float*>(a.v) + key_row * a.v_stride + piece.key_head * a.v_head_stride;
  float* packed_keys = scratch.packed.Get(padded * (a.key_dim + a.value_dim));
  float* packed_values = packed_keys + padded * a.key_dim;
  const float* zeros = scratch.Zeros(std::max(a.key_dim, a.value_dim));
  PackRows(k, a.k_stride, keys, a.key_dim, zeros, packed_keys);
  PackRows(v, a.v_stride, keys, a.value_dim, zeros, packed_values);
  scratch.key_rows.resize(static_cast<size_t>(keys));
  for (int64_t j = 0; j < keys; ++j) scratch.key_rows[j] = k + j * a.k_stride;

  float* p = scratch.scores.Get(2 * kQueryBlock * stride);
  float* ds = p + kQueryBlock * stride;
  scratch.query_rows.resize(kQueryBlock);
  scratch.value_rows.resize(kQueryBlock);
  for (int64_t head = piece.key_head * group; head < (piece.key_head + 1) * group; ++head) {
    for (int64_t begin = piece.query_begin; begin < piece.query_end; begin += kQueryBlock) {
      const int64_t count = std::min(kQueryBlock, piece.query_end - begin), row = first_query + begin;
      // Of this piece's keys, query begin + i sees the first `seen(i)`.
      const auto seen = [&](int64_t i) { return std::clamp<int64_t>(unseen + begin + i - piece.key_begin, 0, keys); };
      for (int64_t i = 0; i < count; ++i) {
        scratch.query_rows[i] = static_cast<const float*>(a.q) + (row + i) * a.q_stride + head * a.q_head_stride;
        scratch.value_rows[i] = static_cast<const float*>(b.d_o) + (row + i) * b.d_o_stride + head * b.d_o_head_stride;
      }
      for (int64_t i = 0; i < count; i += kTileRows) {
        const int64_t rows = std::min<int64_t>(kTileRows, count - i);
        const int64_t blocks = (seen(i + rows - 1) + kBlock - 1) / kBlock;
        Scores(&scratch.query_rows[i], rows, a.key_dim, packed_keys, blocks, p + i * stride, stride);
        Scores(&scratch.value_rows[i], rows, a.value_dim, packed_values, blocks, ds + i * stride, stride);
      }
      for (int64_t i = 0; i < count; ++i) {
        const float* o = static_cast<const float*>(a.o) + (row + i) * a.o_stride + head * a.o_head_stride;
        const V delta = hn::Set(D(), DotOfRows(scratch.value_rows[i], o, a.value_dim));
        const V lse = hn::Set(D(), static_cast<const float*>(a.lse)[(row + i) * a.heads + head]);
        const V factor = hn::Set(D(), scale);
        float* p_row = p + i * stride;
        float* ds_row = ds + i * stride;
        for (int64_t j = 0; j < seen(i); j += kWidth) {
          const V weight = Exp(hn::Sub(hn::Mul(hn::LoadU(D(), p_row + j), factor), lse));
          hn::StoreU(weight, D(), p_row + j);
          const V slope = hn::Mul(weight, hn::Sub(hn::LoadU(D(), ds_row + j), delta));
          hn::StoreU(hn::Mul(slope, factor), D(), ds_row + j);
        }
      }
      if (piece.query_gradient) {
        float* dq = static_cast<float*>(b.dq) + row * b.dq_stride + head * b.dq_head_stride;
        WeightedRows<false>(dq, b.dq_stride, count, a.key_dim, ds, stride, scratch.key_rows.data(), [&](int64_t i) {
          return Span{0, seen(i)};
        });
      }
      if (piece.key_gradient) {
        float* dk = static_cast<float*>(b.dk) + key_row * b.dk_stride + piece.key_head * b.dk_head_stride;
        float* dv = static_cast<float*>(b.dv) + key_row * b.dv_stride + piece.key_head * b.dv_head_stride;
        // The first query of the block that sees key j.
        const auto span = [&](int64_t j) {
          return Span{std::clamp<int64_t>(piece.key_begin + j + 1 - unseen - begin, 0, count), count};
        };
        const int64_t visible = seen(count - 1);
        WeightedRows<true>(dv, b.dv_stride, visible, a.value_dim, p, stride, scratch.value_rows.data(), span);
        WeightedRows<true>(dk, b.dk_stride, visible, a.key_dim, ds, stride, scratch.query_rows.data(), span);
      }
    }
  }
}

}  // namespace attention

void AttentionForwardTask(const AttentionArgs& args, const AttentionTask& task, AttentionScratch& scratch) {
  attention::ForwardTask(args, task, scratch);
}
void AttentionBackwardTask(const AttentionBackwardArgs& args, const AttentionBackwardPiece& piece,
                           AttentionScratch& scratch) {
  attention::BackwardTask(args, piece, scratch);
}

}  // namespace sputnik::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace sputnik::cpu {

HWY_EXPORT(AttentionForwardTask);
HWY_EXPORT(AttentionBackwardTask);

void Attention(const AttentionArgs& args, ThreadPool& pool) {
  CHECK(args.dtype == DType::kF32);
  CHECK_EQ(args.heads % args.key_heads, 0);
  const std::vector<AttentionTask> tasks = PlanAttention(args, pool.size());
  std::vector<AttentionScratch> scratch(static_cast<size_t>(pool.size()));
  const auto run = HWY_DYNAMIC_DISPATCH(AttentionForwardTask);
  pool.ParallelFor(static_cast<int64_t>(tasks.size()),
                   [&](int64_t task, int worker) { run(args, tasks[task], scratch[worker]); });
}

void AttentionBackward(const AttentionBackwardArgs& args, ThreadPool& pool) {
  CHECK(args.forward.dtype == DType::kF32);
  CHECK(args.forward.block_table == nullptr);
  CHECK(args.forward.lse != nullptr);
  CHECK_EQ(args.forward.heads % args.forward.key_heads, 0);
  const std::vector<AttentionBackwardPiece> pieces = PlanAttentionBackward(args.forward, pool.size());
  std::vector<AttentionScratch> scratch(static_cast<size_t>(pool.size()));
  const auto run = HWY_DYNAMIC_DISPATCH(AttentionBackwardTask);
  pool.ParallelFor(static_cast<int64_t>(pieces.size()),
                   [&](int64_t piece, int worker) { run(args, pieces[piece], scratch[worker]); });
}

}  // namespace sputnik::cpu
#endif
