#include "kernel/cpu/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace sputnik::cpu {
namespace {

struct Piece {
  int64_t begin, end;
};

// The calls of one SplitRange, in the order of the range; each may come from another thread.
std::vector<Piece> Pieces(ThreadPool& pool, int64_t count, int64_t elements_per_item, int64_t grain) {
  std::mutex mutex;
  std::vector<Piece> pieces;
  SplitRange(pool, count, elements_per_item, grain, [&](int64_t begin, int64_t end) {
    const std::scoped_lock lock(mutex);
    pieces.push_back({begin, end});
  });
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
  return pieces;
}

TEST(Split, EveryItemComesOnceInPiecesOfWholeGrains) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (const int64_t count : {1, 2, 3, 63, 64, 65, 1000, 4097}) {
      for (const int64_t elements : {0, 1, 100, 16384, 1 << 20}) {
        for (const int64_t grain : {1, 7, 64}) {
          const std::vector<Piece> pieces = Pieces(pool, count, elements, grain);
          int64_t next = 0;
          for (const Piece& piece : pieces) {
            EXPECT_EQ(piece.begin, next);
            EXPECT_LT(piece.begin, piece.end) << "an empty piece";
            EXPECT_EQ(piece.begin % grain, 0);
            next = piece.end;
          }
          EXPECT_EQ(next, count);
          EXPECT_LE(pieces.size(), threads == 1 ? 1u : 4u * static_cast<size_t>(threads));
        }
      }
    }
  }
}

TEST(Split, NothingIsNoCall) {
  ThreadPool pool(2);
  EXPECT_TRUE(Pieces(pool, 0, 1 << 20, 1).empty());
  EXPECT_TRUE(Pieces(pool, -5, 1 << 20, 64).empty());
}

TEST(Split, SmallWorkStaysWithTheCaller) {
  ThreadPool pool(3);
  for (const auto& [count, elements] :
       {std::pair<int64_t, int64_t>{2 * kTaskElements - 1, 1}, {100, 300}, {1, 1 << 30}}) {
    const std::thread::id caller = std::this_thread::get_id();
    int calls = 0;
    SplitRange(pool, count, elements, 1, [&](int64_t, int64_t) {
      ++calls;
      EXPECT_EQ(std::this_thread::get_id(), caller);
    });
    EXPECT_EQ(calls, 1);
  }
}

TEST(Split, WorkIsSharedByItsSizeUpToFourPiecesPerThread) {
  ThreadPool pool(3);
  EXPECT_EQ(Pieces(pool, 2 * kTaskElements, 1, 1).size(), 2u);
  EXPECT_EQ(Pieces(pool, 50, kTaskElements / 10, 1).size(), 4u) << "items that cost more are worth more pieces";
  EXPECT_EQ(Pieces(pool, 1200, kTaskElements, 1).size(), 12u);
  EXPECT_EQ(Pieces(pool, 1200, kTaskElements, 1)[0].end, 100);
  EXPECT_EQ(Pieces(pool, 1200, kTaskElements, 64)[0].end, 128);
  EXPECT_EQ(Pieces(pool, 100, kTaskElements, 64).size(), 2u) << "no more pieces than grains";
}

// How often each cell was seen, and how many calls there were.
struct Cells {
  std::vector<int> seen;
  int calls = 0;
  bool rows_whole = true, columns_whole = true;
};

Cells SeenBy(ThreadPool& pool, int64_t rows, int64_t columns) {
  std::mutex mutex;
  Cells cells;
  cells.seen.resize(static_cast<size_t>(rows * columns));
  SplitMatrix(pool, rows, columns, [&](int64_t row_begin, int64_t row_end, int64_t column_begin, int64_t column_end) {
    const std::scoped_lock lock(mutex);
    ++cells.calls;
    if (row_begin != 0 || row_end != rows) cells.columns_whole = false;
    if (column_begin != 0 || column_end != columns) cells.rows_whole = false;
    EXPECT_EQ(column_begin % 64, 0) << "threads would share a cache line";
    for (int64_t r = row_begin; r < row_end; ++r) {
      for (int64_t c = column_begin; c < column_end; ++c) ++cells.seen[static_cast<size_t>(r * columns + c)];
    }
  });
  return cells;
}

TEST(Split, EveryCellOfAMatrixComesOnce) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (const auto& [rows, columns] :
         {std::pair<int64_t, int64_t>{1, 1}, {1, 50000}, {2, 40001}, {3, 30000}, {700, 97}, {0, 9}, {9, 0}}) {
      const Cells cells = SeenBy(pool, rows, columns);
      for (const int times : cells.seen) ASSERT_EQ(times, 1) << rows << " x " << columns;
    }
  }
}

TEST(Split, ColumnsAreSplitWhenRowsAreFewerThanThreads) {
  ThreadPool pool(3);
  const Cells tall = SeenBy(pool, 3, 30000), flat = SeenBy(pool, 2, 30000);
  EXPECT_GT(tall.calls, 1);
  EXPECT_TRUE(tall.rows_whole);
  EXPECT_FALSE(tall.columns_whole);
  EXPECT_GT(flat.calls, 1);
  EXPECT_TRUE(flat.columns_whole);
  EXPECT_FALSE(flat.rows_whole);
}

}  // namespace
}  // namespace sputnik::cpu
