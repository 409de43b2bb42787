// Learning-rate schedules.
#pragma once

#include "train/config.h"

namespace sputnik {

// The factor on the peak learning rate at a point of the run: `step` steps done, `progress` in [0, 1] the share of the
// run done (steps, or time when the stage is fitted to a time). Warm-up, constant, decay.
double LearningRateFactor(const OptimizerConfig& config, int64_t step, double progress);

}  // namespace sputnik
