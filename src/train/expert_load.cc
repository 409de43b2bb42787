#include "train/expert_load.h"

#include <algorithm>

#include "base/check.h"

namespace sputnik {

void AddLoads(const ExpertLoads& loads, ExpertLoads& sum) {
  sum.resize(std::max(sum.size(), loads.size()));
  for (size_t layer = 0; layer < loads.size(); ++layer) {
    if (loads[layer].empty()) continue;
    if (sum[layer].empty()) sum[layer].resize(loads[layer].size());
    CHECK_EQ(sum[layer].size(), loads[layer].size());
    for (size_t e = 0; e < loads[layer].size(); ++e) sum[layer][e] += loads[layer][e];
  }
}

void LogLoads(const ExpertLoads& loads, bool each, MetricsLine& line) {
  double imbalance = 0, layers = 0;
  std::vector<int64_t> flat;
  for (const std::vector<int64_t>& layer : loads) {
    flat.insert(flat.end(), layer.begin(), layer.end());
    int64_t total = 0, largest = 0;
    for (const int64_t load : layer) {
      total += load;
      largest = std::max(largest, load);
    }
    if (total == 0) continue;
    imbalance += static_cast<double>(largest) * static_cast<double>(layer.size()) / static_cast<double>(total);
    ++layers;
  }
  if (layers == 0) return;
  line.Set("expert_load_max_over_mean", imbalance / layers);
  if (each) line.Set("expert_loads", flat);
}

}  // namespace sputnik
