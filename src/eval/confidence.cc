#include "eval/confidence.h"

#include <algorithm>
#include <cmath>

namespace sputnik {
namespace {

constexpr double kZ = 1.959963984540054;

// Student's 97.5% quantile by its expansion about the normal one (Abramowitz and Stegun 26.7.5): within 0.3% from 4
// degrees of freedom on.
double StudentQuantile(double freedom) {
  const double z = kZ, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z;
  return z + (z3 + z) / (4 * freedom) + (5 * z5 + 16 * z3 + 3 * z) / (96 * freedom * freedom) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * freedom * freedom * freedom);
}

}  // namespace

Interval Confidence95(const std::vector<double>& shares) {
  const auto n = static_cast<double>(shares.size());
  if (shares.empty()) return {0, 1};
  double mean = 0;
  for (const double share : shares) mean += share;
  mean /= n;
  const bool binary = std::all_of(shares.begin(), shares.end(), [](double s) { return s == 0 || s == 1; });
  if (binary || shares.size() < 2) {
    const double z2 = kZ * kZ, centre = (mean + z2 / (2 * n)) / (1 + z2 / n);
    const double half = kZ / (1 + z2 / n) * std::sqrt(mean * (1 - mean) / n + z2 / (4 * n * n));
    return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
  }
  double variance = 0;
  for (const double share : shares) variance += (share - mean) * (share - mean) / (n - 1);
  const double half = kZ * std::sqrt(variance / n);
  return {std::max(0.0, mean - half), std::min(1.0, mean + half)};
}

std::optional<Interval> RatioConfidence95(const std::vector<Cluster>& clusters) {
  if (clusters.size() < kFewestClusters) return std::nullopt;
  double sum = 0, count = 0;
  for (const Cluster& cluster : clusters) {
    sum += cluster.sum;
    count += cluster.count;
  }
  const double ratio = sum / count, n = static_cast<double>(clusters.size());
  double squares = 0;
  for (const Cluster& cluster : clusters) {
    const double residual = cluster.sum - ratio * cluster.count;
    squares += residual * residual;
  }
  const double half = StudentQuantile(n - 1) * std::sqrt(n / (n - 1) * squares) / count;
  return Interval{ratio - half, ratio + half};
}

}  // namespace sputnik
