#include "base/random.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <vector>

namespace sputnik {
namespace {

// These numbers order data, start weights and draw samples: were they to change, no run could be reproduced.
TEST(Random, GoldenValues) {
  Random random(42, kStreamInit, 7);
  EXPECT_EQ(random.Next(), 0x67e17db3c394f81du);
  EXPECT_EQ(random.Next(), 0x43eb542a3266cf0bu);
  EXPECT_EQ(std::bit_cast<uint64_t>(random.Uniform()), 0x3feedffb9085f5cau);
  EXPECT_EQ(random.Below(1000), 250u);
  EXPECT_EQ(std::bit_cast<uint64_t>(random.Normal()), 0xbfc3f036363ce76bu);
  EXPECT_EQ(HashCombine(1, 2), 0x8a829f051aeaa7deu);
  std::vector<uint64_t> order;
  for (uint64_t i = 0; i < 10; ++i) order.push_back(PermutedIndex(10, i, 3));
  EXPECT_EQ(order, (std::vector<uint64_t>{9, 5, 4, 8, 1, 3, 2, 0, 6, 7}));
}

TEST(Random, IsAFunctionOfSeedStreamStepAndCount) {
  const uint64_t base = Random(1, 2, 3).Next();
  EXPECT_EQ(Random(1, 2, 3).Next(), base);
  EXPECT_NE(Random(2, 2, 3).Next(), base);
  EXPECT_NE(Random(1, 3, 3).Next(), base);
  EXPECT_NE(Random(1, 2, 4).Next(), base);
  EXPECT_NE(Random(2, 1, 3).Next(), base);
  Random twice(1, 2, 3);
  twice.Next();
  EXPECT_NE(twice.Next(), base);
}

TEST(Random, UniformHasTheRightMoments) {
  constexpr int kCount = 400'000;
  double sum = 0, squares = 0, lowest = 1, highest = 0;
  // One number per step: neighbouring steps must be as independent as neighbouring draws.
  for (int i = 0; i < kCount; ++i) {
    const double u = Random(5, kStreamTest, static_cast<uint64_t>(i)).Uniform();
    sum += u;
    squares += u * u;
    lowest = std::min(lowest, u);
    highest = std::max(highest, u);
  }
  EXPECT_NEAR(sum / kCount, 0.5, 0.003);
  EXPECT_NEAR(squares / kCount, 1.0 / 3, 0.003);
  EXPECT_GE(lowest, 0);
  EXPECT_LT(highest, 1);
  EXPECT_LT(lowest, 1e-4);
  EXPECT_GT(highest, 1 - 1e-4);
}

TEST(Random, NormalHasTheRightMoments) {
  Random random(6, kStreamTest);
  constexpr int kCount = 400'000;
  double sum = 0, squares = 0, fourth = 0;
  for (int i = 0; i < kCount; ++i) {
    const double x = random.Normal();
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  EXPECT_NEAR(sum / kCount, 0, 0.01);
  EXPECT_NEAR(squares / kCount, 1, 0.01);
  EXPECT_NEAR(fourth / kCount, 3, 0.1);
}

// Chi-square over `cells` equally likely cells, in standard deviations from its mean.
double Surprise(const std::vector<int64_t>& counts) {
  int64_t total = 0;
  for (const int64_t count : counts) total += count;
  const auto cells = static_cast<double>(counts.size());
  const double expected = static_cast<double>(total) / cells;
  double chi = 0;
  for (const int64_t count : counts) {
    chi += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected) / expected;
  }
  return (chi - (cells - 1)) / std::sqrt(2 * (cells - 1));
}

TEST(Random, BelowIsUniform) {
  for (const uint64_t n : {1u, 2u, 3u, 7u, 10u, 100u, 1000u}) {
    Random random(7, kStreamTest, n);
    std::vector<int64_t> counts(n, 0);
    for (int i = 0; i < 200'000; ++i) {
      const uint64_t value = random.Below(n);
      ASSERT_LT(value, n);
      ++counts[value];
    }
    if (n > 1) {
      EXPECT_LT(std::abs(Surprise(counts)), 5) << n;
    }
  }
  Random random(8, kStreamTest);
  const uint64_t huge = (uint64_t{1} << 63) + 12345;
  for (int i = 0; i < 1000; ++i) ASSERT_LT(random.Below(huge), huge);
}

TEST(PermutedIndex, IsAPermutation) {
  std::vector<uint64_t> sizes{63, 64, 65, 255, 256, 257, 1000, 1023, 1024, 1025, 4096, 65'537, 100'000};
  for (uint64_t n = 1; n <= 40; ++n) sizes.push_back(n);
  for (const uint64_t n : sizes) {
    for (const uint64_t key : {uint64_t{0}, uint64_t{1}, uint64_t{2}, ~uint64_t{0}}) {
      std::vector<bool> seen(n, false);
      for (uint64_t i = 0; i < n; ++i) {
        const uint64_t place = PermutedIndex(n, i, key);
        ASSERT_LT(place, n);
        ASSERT_FALSE(seen[place]) << "n " << n << " key " << key << ": " << place << " comes twice";
        seen[place] = true;
      }
    }
  }
}

TEST(PermutedIndex, WorksOnRangesTooLargeForATable) {
  for (const uint64_t n : {uint64_t{1} << 40, (uint64_t{1} << 62) + 1, ~uint64_t{0}}) {
    for (uint64_t i = 0; i < 100; ++i) {
      EXPECT_LT(PermutedIndex(n, i, 1), n);
      EXPECT_LT(PermutedIndex(n, n - 1 - i, 1), n);
    }
  }
}

// Over many keys every element is equally likely in every place, in small permutations too.
TEST(PermutedIndex, EveryPlaceIsEquallyLikely) {
  for (const uint64_t n : {2u, 3u, 5u, 10u, 37u}) {
    std::vector<int64_t> counts(n * n, 0);
    for (uint64_t key = 0; key < 20'000; ++key) {
      for (uint64_t i = 0; i < n; ++i) ++counts[i * n + PermutedIndex(n, i, HashCombine(9, key))];
    }
    EXPECT_LT(Surprise(counts), 6) << n;
  }
}

// An epoch's order tells nothing about the next one's. Were a network's rounds shared with its neighbour's, shifted by
// one, then the low half of a value would turn up as the high half of the neighbour's, twice as often as by chance.
TEST(PermutedIndex, NeighbouringKeysGiveUnrelatedOrders) {
  constexpr uint64_t kHalf = 32, kSize = kHalf * kHalf;  // a power of four: no cycle walking hides a relation
  constexpr uint64_t kKeys = 40;
  int64_t equal = 0, shifted = 0;
  for (uint64_t key = 0; key < kKeys; ++key) {
    std::vector<uint64_t> order(kSize), next(kSize);
    for (uint64_t i = 0; i < kSize; ++i) {
      order[i] = PermutedIndex(kSize, i, key);
      next[i] = PermutedIndex(kSize, i, key + 1);
      equal += order[i] == next[i];
    }
    for (uint64_t i = 0; i < kSize; ++i) {
      for (uint64_t low = 0; low < kHalf; ++low) shifted += next[i % kHalf * kHalf + low] / kHalf == order[i] % kHalf;
    }
  }
  EXPECT_NEAR(static_cast<double>(equal) / kKeys, 1, 0.7);
  EXPECT_NEAR(static_cast<double>(shifted) / static_cast<double>(kKeys * kSize), 1, 0.1);
}

}  // namespace
}  // namespace sputnik
