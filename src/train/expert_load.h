// How a step's tokens spread over the experts, as metrics: the same for supervised training and for reinforcement
// learning.
#pragma once

#include <cstdint>
#include <vector>

#include "train/metrics.h"

namespace sputnik {

// [layer][expert] tokens, as StepResult::loads has them: layers without experts are empty.
using ExpertLoads = std::vector<std::vector<int64_t>>;

// Adds another step's loads. `sum` may still be empty.
void AddLoads(const ExpertLoads& loads, ExpertLoads& sum);

// Adds "expert_load_max_over_mean" to the line (largest over mean load of each layer's experts, averaged over layers; 1
// is perfect balance) and with `each` also "expert_loads": all layers' experts in one list, for the report's heat
// strip. Nothing where no token met an expert.
void LogLoads(const ExpertLoads& loads, bool each, MetricsLine& line);

}  // namespace sputnik
