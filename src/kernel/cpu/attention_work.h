// How attention is cut into tasks, and what memory a worker needs: pure functions of the shapes. Cutting splits outputs
// only, so it cannot change a result.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel/args.h"
#include "kernel/cpu/scratch.h"

namespace sputnik::cpu {

// Consecutive rows [begin, end) of one sequence, for each of some key heads. Row i is query i / group, head i mod group
// of those that share the key head, so that all of them read the same packed keys. When rows are few (decoding) a task
// takes several key heads, as their keys lie side by side in memory.
struct AttentionTask {
  int64_t sequence = 0, key_head = 0, key_head_end = 0, begin = 0, end = 0;
};

// Some queries and some keys of one sequence and key head, and which gradients they own: those of the queries (then
// keys are all they see) or of the keys (then queries are all that see them), or both when nothing is cut.
struct AttentionBackwardPiece {
  int64_t sequence = 0, key_head = 0;
  int64_t query_begin = 0, query_end = 0, key_begin = 0, key_end = 0;
  bool query_gradient = false, key_gradient = false;
};

// Enough tasks for `threads`, none with more scores than a second-level cache holds. CHECKs that every query sees a
// key.
std::vector<AttentionTask> PlanAttention(const AttentionArgs& args, int threads);
std::vector<AttentionBackwardPiece> PlanAttentionBackward(const AttentionArgs& args, int threads);

int64_t AttentionKeyRow(const AttentionArgs& args, int64_t sequence, int64_t key);

struct AttentionScratch {
  std::vector<const float*> key_rows, value_rows, query_rows;
  std::vector<float*> out_rows, lse;
  std::vector<int64_t> seen;  // keys that each row sees
  std::vector<float> sums;
  ScratchBuffer scores, packed, zeros;

  const float* Zeros(int64_t count);
};

}  // namespace sputnik::cpu
