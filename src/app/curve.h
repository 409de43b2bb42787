// A measured curve, and how it is made short enough to draw.
#pragma once

#include <cstddef>
#include <vector>

namespace sputnik {

struct Point {
  double x, y;
};
using Curve = std::vector<Point>;  // x rises

// At most `most` (>= 4) points that look the same: the lowest and the highest of each bucket stay, and both ends.
Curve Thin(const Curve& curve, size_t most = 600);

// The mean of each of `buckets` runs of neighbouring points, at their mean x; short curves come back as they are.
Curve BucketMeans(const Curve& curve, size_t buckets);

// Point by point the mean of the curves that have this x.
Curve MeanCurve(const std::vector<const Curve*>& curves);

}  // namespace sputnik
