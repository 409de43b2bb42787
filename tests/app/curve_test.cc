#include "app/curve.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sputnik {
namespace {

Curve Waves(size_t count) {
  Curve curve;
  for (size_t i = 0; i < count; ++i) {
    curve.push_back({static_cast<double>(i), static_cast<double>((i * 7919) % 101)});
  }
  return curve;
}

TEST(Curve, AShortOneIsNotThinned) { EXPECT_EQ(Thin(Waves(600)).size(), 600u); }

TEST(Curve, ThinningKeepsExtremesAndEnds) {
  Curve curve = Waves(100000);
  curve[34567].y = 5000;  // a spike and a dip of one point each
  curve[77777].y = -5000;
  const Curve thin = Thin(curve, 600);
  EXPECT_LE(thin.size(), 600u);
  EXPECT_GT(thin.size(), 500u);
  const auto has = [&](const Point& wanted) {
    return std::any_of(thin.begin(), thin.end(), [&](const Point& p) { return p.x == wanted.x && p.y == wanted.y; });
  };
  for (const size_t i : {size_t{0}, size_t{34567}, size_t{77777}, curve.size() - 1}) EXPECT_TRUE(has(curve[i])) << i;
  EXPECT_TRUE(std::is_sorted(thin.begin(), thin.end(), [](const Point& a, const Point& b) { return a.x < b.x; }));
}

TEST(Curve, BucketMeansKeepTheMean) {
  const Curve curve = Waves(1000), means = BucketMeans(curve, 50);
  ASSERT_EQ(means.size(), 50u);
  double sum = 0, mean = 0;
  for (const Point& point : curve) sum += point.y / 1000;
  for (const Point& point : means) mean += point.y / 50;
  EXPECT_NEAR(mean, sum, 1e-9);
  EXPECT_EQ(means.front().x, 9.5);
  EXPECT_EQ(BucketMeans(curve, 1000).size(), 1000u);
}

TEST(Curve, TheMeanOfCurvesTakesThoseThatAreThere) {
  const Curve a = {{1, 2}, {2, 4}}, b = {{2, 8}, {3, 1}};
  const Curve mean = MeanCurve({&a, &b});
  ASSERT_EQ(mean.size(), 3u);
  EXPECT_EQ(mean[0].y, 2);
  EXPECT_EQ(mean[1].y, 6);
  EXPECT_EQ(mean[2].y, 1);
}

}  // namespace
}  // namespace sputnik
