#include "rl/advantage.h"

#include <cmath>

namespace sputnik {

std::vector<double> Advantages(std::span<const double> rewards, std::string_view mode) {
  std::vector<double> result(rewards.begin(), rewards.end());
  if (mode == "none" || rewards.empty()) return result;
  const auto n = static_cast<double>(rewards.size());
  double mean = 0, variance = 0;
  for (const double r : rewards) mean += r / n;
  for (const double r : rewards) variance += (r - mean) * (r - mean) / n;
  const double scale = mode == "std" ? 1 / (std::sqrt(variance) + 1e-6) : 1;
  for (double& a : result) a = (a - mean) * scale;
  return result;
}

bool AllEqual(std::span<const double> values) {
  for (const double value : values) {
    if (value != values.front()) return false;
  }
  return true;
}

}  // namespace sputnik
