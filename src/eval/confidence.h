// 95% intervals of what an evaluation measures.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace sputnik {

struct Interval {
  double low, high;
};

// Of the mean of per-problem success shares: Wilson's score interval when every share is 0 or 1, else the normal
// interval from the sample deviation.
Interval Confidence95(const std::vector<double>& shares);

// What depends on each other (the tokens of a document) and not on what is outside.
struct Cluster {
  double sum = 0, count = 0;
};

// Of Σ sum / Σ count when whole clusters were drawn: the linearised variance of a ratio (Cochran, Sampling Techniques,
// §6.3 and §9A), with Student's quantile for the number of clusters. Nothing for fewer than kFewestClusters.
inline constexpr size_t kFewestClusters = 5;
std::optional<Interval> RatioConfidence95(const std::vector<Cluster>& clusters);

}  // namespace sputnik
