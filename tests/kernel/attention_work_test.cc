#include "kernel/cpu/attention_work.h"

#include <map>

#include "tests/kernel/machines.h"

namespace sputnik::testing {
namespace {

struct Work {
  std::vector<int32_t> query_start{0}, key_count;
  AttentionArgs args;

  Work(std::vector<int32_t> queries, std::vector<int32_t> keys, int64_t heads, int64_t key_heads) : key_count(keys) {
    for (int32_t count : queries) query_start.push_back(query_start.back() + count);
    args.sequences = static_cast<int64_t>(queries.size());
    args.heads = heads;
    args.key_heads = key_heads;
    args.query_start = query_start.data();
    args.key_count = key_count.data();
  }
  Work(const Work&) = delete;
};

// Every row of every key head is in exactly one task.
TEST(AttentionWork, TasksCoverEveryRowOnce) {
  for (int threads : {1, 2, 8, 64}) {
    Work work({1, 0, 300, 17, 1}, {5000, 4, 300, 40, 1}, 12, 4);
    std::map<std::array<int64_t, 3>, int> seen;
    for (const cpu::AttentionTask& task : cpu::PlanAttention(work.args, threads)) {
      EXPECT_LT(task.begin, task.end);
      EXPECT_LT(task.key_head, task.key_head_end);
      for (int64_t head = task.key_head; head < task.key_head_end; ++head) {
        for (int64_t row = task.begin; row < task.end; ++row) ++seen[{task.sequence, head, row}];
      }
    }
    EXPECT_EQ(seen.size(), static_cast<size_t>((1 + 300 + 17 + 1) * 3 * 4));
    for (const auto& [row, times] : seen) EXPECT_EQ(times, 1);
  }
}

TEST(AttentionWork, DecodingTakesNeighbouringHeadsTogether) {
  const std::vector<int32_t> ones(100, 1), keys(100, 64);
  Work work(ones, keys, 8, 8);
  EXPECT_EQ(cpu::PlanAttention(work.args, 1).size(), 100u);
  Work lonely({1}, {64}, 8, 8);
  EXPECT_GE(cpu::PlanAttention(lonely.args, 4).size(), 4u);
}

// Every pair of a query and a key it sees is in exactly one piece that owns the query's gradient, and one that owns the
// key's; such a piece has all keys of the query, or all queries of the key.
TEST(AttentionWork, PiecesOwnEveryGradientOnce) {
  for (int threads : {1, 3, 16}) {
    Work work({200, 5}, {230, 5}, 2, 1);
    std::map<std::pair<int64_t, int64_t>, int> queries, keys;
    for (const cpu::AttentionBackwardPiece& piece : cpu::PlanAttentionBackward(work.args, threads)) {
      const int64_t count = piece.sequence == 0 ? 200 : 5, hidden = work.key_count[piece.sequence] - count;
      if (piece.query_gradient) {
        EXPECT_EQ(piece.key_begin, 0);
        EXPECT_GE(piece.key_end, hidden + piece.query_end);
        for (int64_t i = piece.query_begin; i < piece.query_end; ++i) ++queries[{piece.sequence, i}];
      }
      if (piece.key_gradient) {
        EXPECT_EQ(piece.query_end, count);
        EXPECT_LE(piece.query_begin, std::max<int64_t>(0, piece.key_begin - hidden));
        for (int64_t j = piece.key_begin; j < piece.key_end; ++j) ++keys[{piece.sequence, j}];
      }
    }
    EXPECT_EQ(queries.size(), 205u);
    EXPECT_EQ(keys.size(), 235u);
    for (const auto& [place, times] : queries) EXPECT_EQ(times, 1);
    for (const auto& [place, times] : keys) EXPECT_EQ(times, 1);
  }
}

}  // namespace
}  // namespace sputnik::testing
