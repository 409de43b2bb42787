#include "kernel/cpu/plan_linear.h"

#include <gtest/gtest.h>

#include <cmath>

namespace sputnik::cpu {
namespace {

constexpr TileShape kWide{14, 32, 16}, kNarrow{6, 16, 8};

int64_t TasksOf(const ProductShape& shape, const LinearPlan& plan) {
  return ((shape.rows + plan.row_block - 1) / plan.row_block) *
         ((shape.columns + plan.column_block - 1) / plan.column_block);
}

// Share of the work that the busiest of `threads` gets, when tasks are dealt out one by one, over the even share.
double Imbalance(const ProductShape& shape, const LinearPlan& plan, int threads) {
  const double tasks = static_cast<double>(TasksOf(shape, plan));
  const double largest = static_cast<double>(plan.row_block * plan.column_block);
  return std::ceil(tasks / threads) * largest * threads / static_cast<double>(shape.rows * shape.columns);
}

TEST(PlanLinear, BlocksArePositiveAndCoverTheOutput) {
  for (const TileShape& tile : {kWide, kNarrow}) {
    for (int64_t rows : {1, 2, 13, 14, 15, 64, 100, 2048}) {
      for (int64_t columns : {1, 7, 16, 33, 64, 500, 4096}) {
        for (int64_t depth : {0, 1, 64, 4000}) {
          for (int threads : {1, 2, 3, 64}) {
            for (bool by_column : {false, true}) {
              const LinearPlan plan = PlanLinear({rows, columns, depth, by_column, 4}, tile, threads);
              ASSERT_GE(plan.row_block, 1);
              ASSERT_LE(plan.row_block, rows);
              ASSERT_GE(plan.column_block, 1);
              ASSERT_LE(plan.column_block, columns);
            }
          }
        }
      }
    }
  }
}

TEST(PlanLinear, SmallWorkIsOneTask) {
  const ProductShape shape{100, 64, 64, true, 4};
  EXPECT_EQ(TasksOf(shape, PlanLinear(shape, kWide, 2)), 1);
  const ProductShape decode{1, 192, 64, true, 4};
  EXPECT_EQ(TasksOf(decode, PlanLinear(decode, kWide, 8)), 1);
}

TEST(PlanLinear, OneThreadMakesOneTask) {
  const ProductShape shape{4096, 4096, 4096, true, 4};
  EXPECT_EQ(TasksOf(shape, PlanLinear(shape, kWide, 1)), 1);
}

TEST(PlanLinear, LargeWorkIsSharedEvenly) {
  for (int threads : {2, 3, 4, 8}) {
    for (const ProductShape& shape :
         {ProductShape{2048, 768, 256, true, 4}, ProductShape{2048, 128, 128, true, 4},
          ProductShape{2048, 256, 768, false, 4}, ProductShape{256, 256, 2048, false, 4},
          ProductShape{1024, 4096, 256, true, 4}}) {
      EXPECT_LE(Imbalance(shape, PlanLinear(shape, kWide, threads), threads), 1.15)
          << shape.rows << "x" << shape.columns << " on " << threads;
    }
  }
}

// A small weight gradient over many rows still has something for both threads.
TEST(PlanLinear, SmallOutputsOfLongChainsAreSplit) {
  const ProductShape shape{64, 64, 4000, false, 4};
  EXPECT_GE(TasksOf(shape, PlanLinear(shape, kWide, 2)), 2);
}

// Decoding reads each weight once: rows are never cut, columns are.
TEST(PlanLinear, FewRowsAreNotCut) {
  const ProductShape shape{8, 4096, 4096, true, 4};
  const LinearPlan plan = PlanLinear(shape, kWide, 4);
  EXPECT_EQ(plan.row_block, 8);
  EXPECT_GE(TasksOf(shape, plan), 4);
}

TEST(PlanLinear, DirectPathIsForOneTileOfRows) {
  EXPECT_TRUE(UsesDirectPath(14, true, kWide));
  EXPECT_FALSE(UsesDirectPath(15, true, kWide));
  EXPECT_FALSE(UsesDirectPath(1, false, kWide));
}

TEST(PlanLinear, EvenGroupsStayWholeAndALargeOneIsCut) {
  const ProductShape expert{100, 96, 256, true, 4};
  const double work = 100.0 * 96 * 256;
  EXPECT_EQ(TasksOf(expert, PlanGroupedLinear(expert, 16 * work, kWide, 2)), 1);
  EXPECT_GE(TasksOf(expert, PlanGroupedLinear(expert, 1.1 * work, kWide, 2)), 4);
  const ProductShape nothing{0, 96, 256, true, 4};
  EXPECT_GE(PlanGroupedLinear(nothing, 0, kWide, 2).row_block, 1);
}

TEST(PlanLinear, TilesCoverTheRows) {
  for (int64_t tile : {6, 14}) {
    for (int64_t rows = 1; rows < 100; ++rows) {
      int64_t left = rows;
      while (left > 0) {
        const int64_t next = NextTileRows(left, tile);
        ASSERT_GE(next, 1);
        ASSERT_LE(next, std::min(tile, left));
        if (rows > tile) {
          ASSERT_GE(next, tile / 2);
        }
        left -= next;
      }
    }
  }
}

}  // namespace
}  // namespace sputnik::cpu
