#include "engine/block_pool.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "base/random.h"

namespace sputnik {
namespace {

struct Text {
  explicit Text(int32_t first, int32_t shift = 0) : tokens(kKeyBlock), positions(kKeyBlock) {
    std::iota(tokens.begin(), tokens.end(), first);
    std::iota(positions.begin(), positions.end(), shift);
  }
  BlockPool::Block Block(uint64_t prefix = 0, uint64_t salt = 0) const { return {prefix, salt, tokens, positions}; }

  std::vector<int32_t> tokens, positions;
};

TEST(BlockPool, CountsHolders) {
  BlockPool pool(3, true);
  std::set<int32_t> pages;
  for (int i = 0; i < 3; ++i) pages.insert(pool.Allocate());
  EXPECT_EQ(pages, (std::set<int32_t>{0, 1, 2}));
  EXPECT_EQ(pool.Allocate(), BlockPool::kNoPage);
  EXPECT_EQ(pool.available(), 0);
  pool.Share(1);
  EXPECT_EQ(pool.references(1), 2);
  pool.Release(1);
  EXPECT_EQ(pool.Allocate(), BlockPool::kNoPage);
  pool.Release(1);
  EXPECT_EQ(pool.available(), 1);
  EXPECT_EQ(pool.Allocate(), 1);
}

TEST(BlockPool, FindsByTokensPositionsPrefixAndSalt) {
  BlockPool pool(4, true);
  const Text text(1), next(17, 16);
  const int32_t a = pool.Allocate(), b = pool.Allocate();
  const uint64_t first = pool.Publish(text.Block(), a);
  const uint64_t second = pool.Publish(next.Block(first), b);
  EXPECT_NE(first, 0u);
  EXPECT_NE(second, first);
  EXPECT_EQ(pool.Find(text.Block()).page, a);
  EXPECT_EQ(pool.references(a), 2);
  EXPECT_EQ(pool.Find(next.Block(first)).page, b);
  EXPECT_EQ(pool.Find(next.Block(first)).prefix, second);
  EXPECT_EQ(pool.Find(next.Block()).page, BlockPool::kNoPage) << "other prefix";
  EXPECT_EQ(pool.Find(text.Block(0, 1)).page, BlockPool::kNoPage) << "other salt";
  EXPECT_EQ(pool.Find(Text(2).Block()).page, BlockPool::kNoPage) << "other tokens";
  EXPECT_EQ(pool.Find(Text(1, 1).Block()).page, BlockPool::kNoPage) << "other positions";
}

TEST(BlockPool, KeepsOnePageOfAKind) {
  BlockPool pool(2, true);
  const Text text(1);
  const int32_t a = pool.Allocate(), b = pool.Allocate();
  const uint64_t name = pool.Publish(text.Block(), a);
  EXPECT_EQ(pool.Publish(text.Block(), b), name);
  EXPECT_EQ(pool.cached(), 1);
  pool.Release(b);
  EXPECT_EQ(pool.Allocate(), b) << "nobody needs the second";
}

TEST(BlockPool, ReusesTheLeastRecentlyUsed) {
  BlockPool pool(3, true);
  std::vector<int32_t> pages;
  for (int i = 0; i < 3; ++i) {
    pages.push_back(pool.Allocate());
    pool.Publish(Text(100 * i).Block(), pages.back());
  }
  for (const int32_t page : pages) pool.Release(page);
  EXPECT_EQ(pool.available(), 3);
  pool.Release(pool.Find(Text(0).Block()).page);  // now the most recently used
  EXPECT_EQ(pool.Allocate(), pages[1]);
  EXPECT_EQ(pool.Find(Text(100).Block()).page, BlockPool::kNoPage) << "its contents are gone";
  EXPECT_EQ(pool.Allocate(), pages[2]);
  EXPECT_EQ(pool.Find(Text(0).Block()).page, pages[0]);
  EXPECT_EQ(pool.Allocate(), BlockPool::kNoPage) << "a page that is held is never taken";
}

TEST(BlockPool, ANewPrefixNeverInheritsAnOldOnesPages) {
  BlockPool pool(3, true);
  const int32_t a = pool.Allocate(), b = pool.Allocate();
  const uint64_t first = pool.Publish(Text(1).Block(), a);
  pool.Publish(Text(2, 16).Block(first), b);
  pool.Release(a);
  pool.Allocate();  // the free one
  EXPECT_EQ(pool.Allocate(), a);
  const uint64_t again = pool.Publish(Text(1).Block(), a);
  EXPECT_NE(again, first);
  EXPECT_EQ(pool.Find(Text(2, 16).Block(again)).page, BlockPool::kNoPage);
}

TEST(BlockPool, ForgetsOnDemand) {
  BlockPool pool(3, true);
  const int32_t a = pool.Allocate(), b = pool.Allocate();
  pool.Publish(Text(1).Block(), a);
  pool.Publish(Text(2).Block(), b);
  pool.Release(a);
  pool.DropPrefixes();
  EXPECT_EQ(pool.cached(), 0);
  EXPECT_EQ(pool.available(), 2);
  EXPECT_EQ(pool.Find(Text(1).Block()).page, BlockPool::kNoPage);
  EXPECT_EQ(pool.Find(Text(2).Block()).page, BlockPool::kNoPage);
  pool.Release(b);
  EXPECT_EQ(pool.available(), 3);
  std::set<int32_t> pages;
  for (int i = 0; i < 3; ++i) pages.insert(pool.Allocate());
  EXPECT_EQ(pages.size(), 3u);
}

TEST(BlockPool, WithoutPrefixCacheNothingIsFound) {
  BlockPool pool(2, false);
  const int32_t a = pool.Allocate();
  EXPECT_EQ(pool.Publish(Text(1).Block(), a), 0u);
  EXPECT_EQ(pool.Find(Text(1).Block()).page, BlockPool::kNoPage);
}

// Random use, against counts kept by hand.
TEST(BlockPool, NeverLosesAPage) {
  BlockPool pool(40, true);
  Random random(3, kStreamTest);
  std::vector<int32_t> held;
  for (int step = 0; step < 20000; ++step) {
    const Text text(static_cast<int32_t>(random.Below(60)));
    const uint64_t action = random.Below(8);
    if (action < 2) {
      const int32_t page = pool.Allocate();
      if (page != BlockPool::kNoPage) {
        EXPECT_EQ(std::count(held.begin(), held.end(), page), 0);
        held.push_back(page);
        if (random.Below(3) != 0) pool.Publish(text.Block(), page);
      }
    } else if (action < 4) {
      const BlockPool::Found found = pool.Find(text.Block());
      if (found.page != BlockPool::kNoPage) held.push_back(found.page);
    } else if (action == 4 && !held.empty()) {
      held.push_back(held[random.Below(held.size())]);
      pool.Share(held.back());
    } else if (action < 7 && !held.empty()) {
      const size_t i = random.Below(held.size());
      pool.Release(held[i]);
      held.erase(held.begin() + static_cast<ptrdiff_t>(i));
    } else if (random.Below(200) == 0) {
      pool.DropPrefixes();
    }
    const std::set<int32_t> distinct(held.begin(), held.end());
    ASSERT_EQ(pool.available(), 40 - static_cast<int64_t>(distinct.size()));
    for (const int32_t page : distinct) ASSERT_EQ(pool.references(page), std::count(held.begin(), held.end(), page));
  }
}

}  // namespace
}  // namespace sputnik
