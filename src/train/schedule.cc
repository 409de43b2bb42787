#include "train/schedule.h"

#include <algorithm>

#include "base/elementary.h"

namespace sputnik {

double LearningRateFactor(const OptimizerConfig& config, int64_t step, double progress) {
  const double warmup =
      step < config.warmup_steps ? static_cast<double>(step + 1) / static_cast<double>(config.warmup_steps) : 1.0;
  double decay = 1;
  if (config.schedule != "constant" && config.decay_fraction > 0) {
    const double done = std::clamp((progress - (1 - config.decay_fraction)) / config.decay_fraction, 0.0, 1.0);
    const double shape = config.schedule == "cosine" ? 0.5 * (1 + Cos(3.14159265358979323846 * done)) : 1 - done;
    decay = config.final_lr_fraction + (1 - config.final_lr_fraction) * shape;
  }
  return warmup * decay;
}

}  // namespace sputnik
