#include "kernel/cpu/attention_work.h"

#include <algorithm>

#include "base/check.h"

namespace sputnik::cpu {
namespace {

constexpr int64_t kRowStep = 8, kMostRows = 128;
constexpr int64_t kFewRows = 4;                // so few that memory, not arithmetic, takes the time
constexpr int64_t kScoresOfTask = 128 * 1024;  // floats
constexpr int64_t kLeastKeys = 64;             // of a piece that owns the gradients of keys

int64_t QueriesOf(const AttentionArgs& args, int64_t s) { return args.query_start[s + 1] - args.query_start[s]; }

}  // namespace

std::vector<AttentionTask> PlanAttention(const AttentionArgs& args, int threads) {
  const int64_t group = args.heads / args.key_heads;
  int64_t rows = 0;
  for (int64_t s = 0; s < args.sequences; ++s) rows += QueriesOf(args, s) * group;
  const int64_t share = rows * args.key_heads / (4 * threads);  // of a task, if all were equal
  const int64_t wanted = std::clamp((share + kRowStep - 1) / kRowStep * kRowStep, kRowStep, kMostRows);
  const int64_t fair_heads = threads == 1 ? args.key_heads : args.sequences * args.key_heads / (4 * threads);
  std::vector<AttentionTask> tasks;
  for (int64_t s = 0; s < args.sequences; ++s) {
    const int64_t count = QueriesOf(args, s) * group;
    if (count == 0) continue;
    CHECK_GE(args.key_count[s], QueriesOf(args, s));
    const int64_t fitting = kScoresOfTask / args.key_count[s] / kRowStep * kRowStep;
    const int64_t step = std::clamp(fitting, kRowStep, wanted);
    const int64_t heads = count > kFewRows ? 1 : std::clamp<int64_t>(fair_heads, 1, args.key_heads);
    for (int64_t head = 0; head < args.key_heads; head += heads) {
      for (int64_t begin = 0; begin < count; begin += step) {
        tasks.push_back({s, head, std::min(args.key_heads, head + heads), begin, std::min(count, begin + step)});
      }
    }
  }
  return tasks;
}

std::vector<AttentionBackwardPiece> PlanAttentionBackward(const AttentionArgs& args, int threads) {
  std::vector<AttentionBackwardPiece> pieces;
  int64_t whole = 0;
  for (int64_t s = 0; s < args.sequences; ++s) whole += QueriesOf(args, s) > 0 ? args.key_heads : 0;
  const int64_t cuts = whole >= threads ? 1 : (threads + whole - 1) / std::max<int64_t>(whole, 1);
  for (int64_t s = 0; s < args.sequences; ++s) {
    const int64_t queries = QueriesOf(args, s), keys = args.key_count[s], hidden = keys - queries;
    if (queries == 0) continue;
    CHECK_GE(hidden, 0);
    const int64_t query_step = std::max((queries + cuts - 1) / cuts, kLeastKeys);
    const int64_t key_step = std::max((keys + cuts - 1) / cuts / 16 * 16, kLeastKeys);
    for (int64_t head = 0; head < args.key_heads; ++head) {
      if (cuts == 1) {
        pieces.push_back({s, head, 0, queries, 0, keys, true, true});
        continue;
      }
      for (int64_t begin = 0; begin < keys; begin += key_step) {
        const int64_t first = std::max<int64_t>(0, begin - hidden);  // the first query that sees key `begin`
        pieces.push_back({s, head, first, queries, begin, std::min(keys, begin + key_step), false, true});
      }
      for (int64_t begin = 0; begin < queries; begin += query_step) {
        const int64_t end = std::min(queries, begin + query_step);
        pieces.push_back({s, head, begin, end, 0, hidden + end, true, false});
      }
    }
  }
  return pieces;
}

int64_t AttentionKeyRow(const AttentionArgs& args, int64_t sequence, int64_t key) {
  if (args.block_table == nullptr) return args.key_start[sequence] + key;
  const int64_t block = args.block_table[args.block_start[sequence] + key / args.key_block];
  return block * args.key_block + key % args.key_block;
}

const float* AttentionScratch::Zeros(int64_t count) {
  float* memory = zeros.Get(count);
  std::fill(memory, memory + count, 0.0f);
  return memory;
}

}  // namespace sputnik::cpu
