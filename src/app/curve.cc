#include "app/curve.h"

#include <algorithm>
#include <map>
#include <utility>

namespace sputnik {

Curve Thin(const Curve& curve, size_t most) {
  if (curve.size() <= most) return curve;
  const size_t buckets = (most - 2) / 2, inner = curve.size() - 2;
  Curve thin = {curve.front()};
  for (size_t bucket = 0; bucket < buckets; ++bucket) {
    const auto begin = curve.begin() + 1 + static_cast<std::ptrdiff_t>(inner * bucket / buckets);
    const auto end = curve.begin() + 1 + static_cast<std::ptrdiff_t>(inner * (bucket + 1) / buckets);
    auto [first, second] = std::minmax_element(begin, end, [](const Point& a, const Point& b) { return a.y < b.y; });
    if (second < first) std::swap(first, second);
    thin.push_back(*first);
    if (second != first) thin.push_back(*second);
  }
  thin.push_back(curve.back());
  return thin;
}

Curve BucketMeans(const Curve& curve, size_t buckets) {
  if (curve.size() <= buckets) return curve;
  Curve means;
  for (size_t bucket = 0; bucket < buckets; ++bucket) {
    const size_t begin = curve.size() * bucket / buckets, end = curve.size() * (bucket + 1) / buckets;
    Point sum{0, 0};
    for (size_t i = begin; i < end; ++i) {
      sum.x += curve[i].x;
      sum.y += curve[i].y;
    }
    const auto count = static_cast<double>(end - begin);
    means.push_back({sum.x / count, sum.y / count});
  }
  return means;
}

Curve MeanCurve(const std::vector<const Curve*>& curves) {
  std::map<double, std::pair<double, double>> at;  // x -> sum, count
  for (const Curve* curve : curves) {
    for (const Point& point : *curve) {
      at[point.x].first += point.y;
      at[point.x].second += 1;
    }
  }
  Curve mean;
  for (const auto& [x, sum] : at) mean.push_back({x, sum.first / sum.second});
  return mean;
}

}  // namespace sputnik
