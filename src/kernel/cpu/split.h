// How the row and element kernels share work among threads. What is small stays on the calling thread, as waking the
// pool costs more than it saves; no choice made here can change a result.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/thread_pool.h"

namespace sputnik::cpu {

// Elements worth a task of its own.
inline constexpr int64_t kTaskElements = 16384;

// Calls range(begin, end) over [0, count) in pieces of whole multiples of `grain`; each item costs `elements_per_item`.
template <class F>
void SplitRange(ThreadPool& pool, int64_t count, int64_t elements_per_item, int64_t grain, F&& range) {
  if (count <= 0) return;
  const int64_t useful = count * std::max<int64_t>(elements_per_item, 1) / kTaskElements;
  const int64_t tasks = std::clamp<int64_t>(useful, 1, pool.size() == 1 ? 1 : 4 * int64_t{pool.size()});
  if (tasks == 1) {
    range(int64_t{0}, count);
    return;
  }
  const int64_t piece = ((count + tasks - 1) / tasks + grain - 1) / grain * grain;
  pool.ParallelFor((count + piece - 1) / piece,
                   [&](int64_t task, int) { range(task * piece, std::min(count, (task + 1) * piece)); });
}

// Calls block(row_begin, row_end, column_begin, column_end) over a matrix: rows are split, or columns if rows are few.
template <class F>
void SplitMatrix(ThreadPool& pool, int64_t rows, int64_t columns, F&& block) {
  if (rows >= pool.size()) {
    SplitRange(pool, rows, columns, 1, [&](int64_t begin, int64_t end) { block(begin, end, int64_t{0}, columns); });
  } else {
    SplitRange(pool, columns, rows, 64, [&](int64_t begin, int64_t end) { block(int64_t{0}, rows, begin, end); });
  }
}

}  // namespace sputnik::cpu
