#include "eval/confidence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace sputnik {
namespace {

std::vector<double> Shares(int right, int of) {
  std::vector<double> shares(static_cast<size_t>(of), 0.0);
  std::fill_n(shares.begin(), right, 1.0);
  return shares;
}

// Wilson's interval as published tables have it (Newcombe 1998, table I, method 3).
TEST(Confidence95, IsWilsonsForRightAndWrong) {
  const auto expect = [](int right, int of, double low, double high) {
    const Interval interval = Confidence95(Shares(right, of));
    EXPECT_NEAR(interval.low, low, 5e-5) << right << "/" << of;
    EXPECT_NEAR(interval.high, high, 5e-5) << right << "/" << of;
  };
  expect(81, 263, 0.2553, 0.3662);
  expect(15, 148, 0.0624, 0.1605);
  expect(0, 20, 0.0000, 0.1611);
  expect(1, 29, 0.0061, 0.1718);
}

TEST(Confidence95, IsTheNormalOneForShares) {
  const Interval interval = Confidence95({0.25, 0.5, 0.75, 0.5});
  const double half = 1.959963984540054 * std::sqrt((2 * 0.0625) / 3 / 4);
  EXPECT_NEAR(interval.low, 0.5 - half, 1e-12);
  EXPECT_NEAR(interval.high, 0.5 + half, 1e-12);
}

TEST(Confidence95, StaysWithinZeroAndOne) {
  EXPECT_GE(Confidence95(Shares(20, 20)).low, 0.8);
  EXPECT_EQ(Confidence95(Shares(20, 20)).high, 1);
  EXPECT_LE(Confidence95({0.9, 1, 1, 0.95}).high, 1);
  EXPECT_EQ(Confidence95({}).low, 0);
  EXPECT_EQ(Confidence95({}).high, 1);
}

// Clusters of equal size: the interval of the mean of their means, with Student's quantile from the tables.
TEST(RatioConfidence95, OfEqualClustersIsStudentsOfTheirMeans) {
  const auto expect = [](size_t n, double quantile) {
    std::vector<Cluster> clusters;
    double mean = 0, variance = 0;
    for (size_t i = 0; i < n; ++i) clusters.push_back({10 * static_cast<double>(i % 3), 10});
    for (const Cluster& c : clusters) mean += c.sum / 10 / static_cast<double>(n);
    for (const Cluster& c : clusters) variance += std::pow(c.sum / 10 - mean, 2) / static_cast<double>(n - 1);
    const double half = quantile * std::sqrt(variance / static_cast<double>(n));
    const std::optional<Interval> interval = RatioConfidence95(clusters);
    ASSERT_TRUE(interval);
    EXPECT_NEAR(interval->low, mean - half, 0.003 * half) << n;
    EXPECT_NEAR(interval->high, mean + half, 0.003 * half) << n;
  };
  expect(5, 2.7764);
  expect(11, 2.2281);
  expect(31, 2.0423);
  expect(1001, 1.9623);
}

// Clusters of uneven sizes whose tokens share their cluster's luck: in 95 of 100 draws the truth must lie within.
// Tokens taken as independent would give an interval several times too narrow.
TEST(RatioConfidence95, HoldsTheTruthAsOftenAsItSays) {
  Random random(11, kStreamTest);
  const auto normal = [&] {
    return std::sqrt(-2 * std::log(1 - random.Uniform())) * std::cos(6.283185307 * random.Uniform());
  };
  int within = 0;
  constexpr int kDraws = 2000;
  for (int draw = 0; draw < kDraws; ++draw) {
    std::vector<Cluster> clusters(20);
    for (Cluster& cluster : clusters) {
      cluster.count = 20 + static_cast<double>(random.Below(80));
      cluster.sum = cluster.count * (3 + 0.5 * normal()) + std::sqrt(cluster.count) * normal();
    }
    const Interval interval = *RatioConfidence95(clusters);
    within += interval.low <= 3 && 3 <= interval.high;
  }
  EXPECT_NEAR(within / static_cast<double>(kDraws), 0.95, 0.02);
}

TEST(RatioConfidence95, FewClustersSayNothing) {
  EXPECT_FALSE(RatioConfidence95({}));
  EXPECT_FALSE(RatioConfidence95({{1, 1}, {2, 1}, {3, 1}, {4, 1}}));
  const std::optional<Interval> same = RatioConfidence95({{2, 1}, {4, 2}, {6, 3}, {8, 4}, {2, 1}});
  EXPECT_EQ(same->low, 2);
  EXPECT_EQ(same->high, 2);
}

}  // namespace
}  // namespace sputnik
