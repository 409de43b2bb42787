// From a group's rewards to advantages (GRPO, arXiv 2402.03300 §4.1; Dr.GRPO and DeepSeek-V3.2 leave out the
// deviation).
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace sputnik {

// mode "mean": r - mean; "std": (r - mean) / (deviation + 1e-6); "none": r.
std::vector<double> Advantages(std::span<const double> rewards, std::string_view mode);

bool AllEqual(std::span<const double> values);

}  // namespace sputnik
