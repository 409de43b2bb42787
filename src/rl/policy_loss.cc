#include "rl/policy_loss.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/elementary.h"

namespace sputnik {
namespace {

// min(ρ A, clip(ρ) A): its value, and its derivative in ln ρ (zero where the clipped branch is taken).
struct Surrogate {
  double value, slope;
};

Surrogate Clip(const RlConfig& config, double ratio, double advantage, PolicyStats& stats) {
  const double low = 1 - config.clip_low, high = 1 + config.clip_high;
  if (advantage > 0 && ratio > high) {
    ++stats.clipped_high;
    return {high * advantage, 0};
  }
  if (advantage < 0 && ratio < low) {
    ++stats.clipped_low;
    return {low * advantage, 0};
  }
  return {ratio * advantage, ratio * advantage};
}

double TokenWeight(const RlConfig& config, double length, double total_tokens, double total_samples) {
  if (config.loss_normalisation == "sequence") return 1 / (total_samples * length);
  if (config.loss_normalisation == "constant") return 1 / (total_samples * static_cast<double>(config.max_tokens));
  return 1 / total_tokens;
}

}  // namespace

double PolicyLoss(const RlConfig& config, std::span<const PolicySample> samples, std::span<const float> now,
                  std::span<const float> old, std::span<const float> reference, double total_tokens,
                  double total_samples, std::span<float> seeds, PolicyStats& stats) {
  CHECK_EQ(now.size(), old.size());
  CHECK_EQ(now.size(), seeds.size());
  CHECK(config.kl_weight == 0 || reference.size() == now.size());
  double loss = 0;
  for (const PolicySample& sample : samples) {
    const auto length = static_cast<double>(sample.end - sample.begin);
    const double weight = TokenWeight(config, length, total_tokens, total_samples);
    double mean_difference = 0;
    for (auto i = static_cast<size_t>(sample.begin); i < static_cast<size_t>(sample.end); ++i) {
      mean_difference += (static_cast<double>(now[i]) - static_cast<double>(old[i])) / length;
    }
    Surrogate sequence{};
    if (config.ratio == "sequence") sequence = Clip(config, Exp(mean_difference), sample.advantage, stats);
    for (auto i = static_cast<size_t>(sample.begin); i < static_cast<size_t>(sample.end); ++i) {
      const double difference = static_cast<double>(now[i]) - static_cast<double>(old[i]);
      stats.max_abs_difference = std::max(stats.max_abs_difference, std::abs(difference));
      // d(sequence ratio)/d(one token) is 1/length of the ratio; summed over its tokens the weights agree with "token".
      const Surrogate s =
          config.ratio == "sequence" ? sequence : Clip(config, Exp(difference), sample.advantage, stats);
      double slope = -s.slope;
      loss -= weight * s.value;
      if (config.kl_weight > 0) {
        const double away = static_cast<double>(reference[i]) - static_cast<double>(now[i]);
        const double k3 = Exp(away) - away - 1;
        stats.kl += k3;
        loss += weight * config.kl_weight * k3;
        slope += config.kl_weight * (1 - Exp(away));
      }
      seeds[i] += static_cast<float>(weight * slope);
    }
    stats.tokens += sample.end - sample.begin;
    stats.ratios += config.ratio == "sequence" ? 1 : sample.end - sample.begin;
  }
  return loss;
}

}  // namespace sputnik
